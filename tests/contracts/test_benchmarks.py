"""Benchmarks: which side a figure must lie on, and that pages find what they speak of."""

from pathlib import Path

import pytest

from benchmarks.figures import Bound, write_figures
from benchmarks.standing import (
    MODEL,
    RESULTS,
    TRUTH,
    Row,
    found_for,
    meets,
    model_figures,
    pages,
)


@pytest.mark.parametrize(
    ("value", "at_least", "aim", "is_met"),
    [
        (0.91, 0.9, 0.97, True),
        (0.89, 0.9, 0.97, False),
        (3.9, 4.0, 2.0, True),
        (4.1, 4.0, 2.0, False),
        (0.95, (0.9, 1.1), (0.95, 1.05), True),
        (1.2, (0.9, 1.1), (0.95, 1.05), False),
        (0.8, (None, 1.1), None, True),
        (-0.016, -0.015, -0.005, False),
        (-0.01, -0.015, -0.005, True),
        (0.0, 0.0, None, True),
        (-0.001, 0.0, None, False),
        (123.0, None, 1.0, True),
    ],
)
def test_a_bound_is_a_floor_a_ceiling_or_a_band(
    value: float, at_least: Bound, aim: Bound, *, is_met: bool
) -> None:
    assert meets(value, at_least, aim) == is_met


@pytest.mark.parametrize("row", [*MODEL, *TRUTH], ids=lambda row: row.asked)
def test_what_a_page_speaks_of_is_found_where_it_was_measured(row: Row) -> None:
    if (RESULTS / f"{row.file}.json").is_file():
        assert found_for(row)


def test_the_pages_say_what_the_results_now_are(tmp_path: Path) -> None:
    for path, text in pages().items():
        assert path.read_text() == text, "run python -m benchmarks.standing"
    write_figures(tmp_path / "model.json", model_figures())
    assert (tmp_path / "model.json").read_text() == (RESULTS / "model.json").read_text()
