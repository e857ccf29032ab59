import csv
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.cli import main
from pipeline.inspect.distributions import N_BARS, number_bars, wilson, word_bars
from pipeline.inspect.outcomes import label_views
from pipeline.phantom import WORLDS, Design, Matrix, write_cohort
from schemas.inspection import Inspection
from schemas.task import Task

PROTOCOLS = Path(__file__).parents[3] / "data_samples" / "protocols"
N_CASES = 24


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect") / "cohort"
    design = Design(world=WORLDS["brain_mr"], seed=3, matrix=Matrix(in_plane=16, slices=10))
    write_cohort(folder, design=design, n_cases=N_CASES)
    notes = pd.read_csv(folder / "notes.csv", dtype=str, keep_default_na=False)
    notes.loc[0, "kind"] = "<script>alert(1)</script>"
    notes.to_csv(folder / "notes.csv", index=False)
    return folder


def inspect(cohort: Path, out: Path, monkeypatch: pytest.MonkeyPatch, protocol: Path) -> object:
    arguments = ["inspect", str(cohort), "--protocol", str(protocol), "--out", str(out), "--quiet"]
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code


@pytest.fixture(scope="module")
def out(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    with pytest.MonkeyPatch.context() as patch:
        assert inspect(cohort, folder, patch, PROTOCOLS / "brain_mr.yaml") == 0
    return folder


@pytest.fixture(scope="module")
def found(out: Path) -> Inspection:
    return Inspection.model_validate_json((out / "inspection.json").read_text())


def table(cohort: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(cohort / name, dtype=str, keep_default_na=False)


def test_the_time_rule_left_out_what_was_planted_after_the_scan(
    cohort: Path, found: Inspection
) -> None:
    traps = table(cohort, "traps.csv")
    shared = set(traps.loc[traps["trap"] == "shared_id", "study_uid"])
    later = traps["trap"].isin(["future", "minutes_after", "day_only"])
    mine = traps[later & ~traps["study_uid"].isin(shared)]
    assert found.time_rule.n_after_scan == mine[["n_values", "n_notes"]].astype(int).sum().sum()
    assert found.time_rule.n_studies_after_scan == mine["study_uid"].nunique()
    assert found.n_withheld == len(shared) > 0


def test_prevalence_is_that_of_the_labels(cohort: Path, found: Inspection) -> None:
    labels = table(cohort, "labels.csv")
    for view in found.labels:
        known = labels.loc[labels[view.task] != "", view.task]
        (positive,) = view.outcomes
        assert (view.n_known, positive.n) == (len(known), (known == "1").sum())
        assert positive.share is not None
        assert positive.share.value == pytest.approx(positive.n / view.n_known)


def test_each_kind_of_task_is_counted_as_it_is_asked() -> None:
    asked = {"question": "What will become of it?"}
    grades = {"kind": "ordinal", "classes": ("none", "mild", "severe")}
    tasks = [
        Task.model_validate({"name": "grade"} | asked | grades),
        Task.model_validate({"name": "death", "kind": "survival", "horizons_days": (365,)} | asked),
        Task.model_validate({"name": "lesion"} | asked),
    ]
    rows = [
        (0.0, 100.0, 1.0, 1.0), (2.0, 300.0, 0.0, None), (2.0, 900.0, 0.0, 0.0), None,
        (None, None, 1.0, None),
    ]  # fmt: skip
    grade, death, lesion = label_views(tasks, rows)
    assert [(one.label, one.n) for one in grade.outcomes] == [
        ("none", 1), ("mild", 0), ("severe", 2)
    ]  # fmt: skip
    assert [one.share and round(one.share.value, 3) for one in grade.outcomes] == [
        0.333, 0.0, 0.667
    ]  # fmt: skip
    assert (grade.n_known, grade.median_days) == (3, None)
    (events,) = death.outcomes
    # The fifth study has an event and no day, so when it came is not known.
    assert (death.n_known, events.label, events.n, events.share) == (3, "events", 1, None)
    assert death.median_days == 300.0
    (positive,) = lesion.outcomes
    assert (lesion.n_known, positive.n) == (2, 1)
    assert label_views(tasks, [])[1].median_days is None


def test_the_page_shows_classes_events_and_days(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load((PROTOCOLS / "brain_mr.yaml").read_text())
    content["tasks"] = [
        {"name": "grade", "kind": "ordinal", "question": "How bad?", "classes": ["a", "b", "c"]},
        {"name": "death", "kind": "survival", "question": "When?!!!", "horizons_days": [365]},
    ]
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(content))
    copy = tmp_path / "cohort"
    copy.mkdir()
    (copy / "dicom").symlink_to(cohort / "dicom")
    labels = table(cohort, "labels.csv")[["patient_id", "study_uid"]].head(3)
    labels.assign(grade=["a", "c", "c"], death_days=["90", "100", "800"], death_event="1").to_csv(
        copy / "labels.csv", index=False
    )
    assert inspect(copy, tmp_path / "o", monkeypatch, path) == 0
    page = (tmp_path / "o" / "index.html").read_text()
    assert '<td>events</td><td class="number">3</td>' in page
    assert "last contact: 100<" in page
    assert '<td>c</td><td class="number">2</td>' in page


def test_series_are_counted_as_the_truth_says(cohort: Path, found: Inspection) -> None:
    n_images = (table(cohort, "truth.csv")["has_image"] == "1").sum()
    (chosen,) = found.series.chosen
    assert chosen.n == n_images < N_CASES
    assert found.series.n_refused == N_CASES - n_images


def test_coverage_is_that_of_the_studies_table(out: Path, found: Inspection) -> None:
    with (out / "studies.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == found.n_studies == N_CASES
    for view in found.columns:
        assert view.n == sum(row[view.name] == "1" for row in rows)
        assert view.n_uncut >= view.n
        assert sum(bar.n for bar in view.spread.bars) == view.n
        assert sum(bar.n_uncut for bar in view.spread.bars) == view.n_uncut
    assert found.notes.n == sum(int(row["n_notes"]) for row in rows)


def test_pairing_issues_are_listed_heaviest_first(found: Inspection) -> None:
    codes = [issue.code.value for issue in found.issues]
    assert codes[0] == "identity-contradicted"
    assert "identity-similar" in codes


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.n_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.n_scripts += tag == "script"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else_names_no_patient_and_runs_no_text(
    cohort: Path, out: Path
) -> None:
    page = (out / "index.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert tags.n_scripts == 1
    assert tags.links == ["inspection.json", "studies.csv"]
    assert "&lt;script&gt;alert(1)" in page
    patients = table(cohort, "truth.csv")["patient_id"]
    assert not any(patient in page for patient in patients)
    assert not any(patient in (out / "inspection.json").read_text() for patient in patients)


def test_a_cohort_without_labels_tables_or_notes_is_inspected_too(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = inspect(cohort / "dicom", tmp_path / "o", monkeypatch, PROTOCOLS / "brain_mr.yaml")
    assert code == 0
    found = json.loads((tmp_path / "o" / "inspection.json").read_text())
    assert found["labels"] == []
    assert found["notes"]["n"] == 0
    assert "has no labels" in (tmp_path / "o" / "index.html").read_text()


def test_a_wrong_protocol_is_one_readable_line(
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = yaml.safe_load((PROTOCOLS / "brain_mr.yaml").read_text())
    content["identity"] = {"sex": "gender"}
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(content))
    assert inspect(cohort, tmp_path / "o", monkeypatch, path) == 2
    message = capsys.readouterr().err
    assert re.search(r"sex must name a table column of kind category, got gender", message)
    assert message.count("\n") == 1


def test_wilson_has_the_known_interval() -> None:
    # Wilson 1927 for 10 of 50: (0.2 + 0.0384 -+ 1.96 sqrt(0.0032 + 0.000384)) / 1.0768
    found = wilson(10, 50)
    assert (found.value, found.lower, found.upper) == pytest.approx((0.2, 0.1124, 0.3304), abs=1e-4)
    assert wilson(0, 10).lower == 0.0
    assert wilson(10, 10).upper == 1.0


def test_whole_numbers_get_whole_bars() -> None:
    found = number_bars([0.0, 1.0, 1.0, 3.0], [0.0])
    assert [(bar.label, bar.n) for bar in found.bars] == [("0", 1), ("1", 2), ("2", 0), ("3", 1)]
    assert found.quartiles == (0.75, 1.0, 1.5)


@pytest.mark.parametrize(
    "values", [[0.5], [2.5, 2.5], [-1e9, 0.25, 1e9], [0.1 * n for n in range(99)]]
)
def test_every_number_is_in_a_bar(values: list[float]) -> None:
    found = number_bars(values, values)
    assert sum(bar.n for bar in found.bars) == len(values)
    assert 1 <= len(found.bars) <= N_BARS + 1


def test_words_come_most_frequent_first_and_those_only_uncut_last() -> None:
    found = word_bars(["b", "a", "b"], ["a", "c", "c"])
    assert [(bar.label, bar.n, bar.n_uncut) for bar in found.bars] == [
        ("b", 2, 0), ("a", 1, 1), ("c", 0, 2),
    ]  # fmt: skip
