"""What the other benchmarks found, set beside what is asked: one page for the model, one for truth.

    python -m benchmarks.standing

Measures nothing: reads benchmarks/results/, writes benchmarks/model.md and benchmarks/truth.md, and
the model's figures in one list as benchmarks/results/model.json. Each figure names the command that
found it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import RESULTS, Bound, Figure, write_figures

PAGES = Path(__file__).parent
MOST_LINES = 12
"""Of one row: of more figures only those stand on the page that are missed, or else the first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is asked, and where it was found.

    Parameters
    ----------
    file
        Below benchmarks/results/, without its suffix.
    pattern
        Regular expression that finds the figures' names.
    """

    asked: str
    file: str
    pattern: str


MODEL = (
    Row("excess AUROC, mean over tasks, the shipped bundle", "truth", "^excess AUROC, mean"),
    Row("the same of one network, not taught by trees", "model_fusions",
        "^excess AUROC, mean over tasks: (cross|boosted trees), seed"),
    Row("the same, otherwise taught, and the classic", "model_fusions",
        "^excess AUROC, mean over tasks: (cross, |concat)"),
    Row("boosted trees beaten, or joined", "model_fusions", "minus boosted trees"),
    Row("mean distance from the true probability", "truth", "^points from recorded, mean"),
    Row("gain over the best single modality", "model_fusions", "minus (image|history)_only"),
    Row("gain over late fusion, interaction on", "model_fusions", "minus late"),
    Row("gain over late fusion, interaction off", "model_fusions_no_interaction", "minus late"),
    Row("each subset of modalities, against a network trained on it", "model_fusions",
        "trained on these"),
    Row("padding, note order, empty notes, batch size", "invariance", ""),
    Row("key sentence negated", "negation", "^all"),
    Row("training to the shipped bundle", "sample", "^training"),
    Row("real adrenal shapes", "shapes", ""),
    Row("another question, by a protocol alone", "truth_brain_place", "^excess AUROC|^points"),
    Row("the other world", "truth_chest_ct", "excess AUROC|points from recorded"),
)  # fmt: skip
TRUTH = (
    Row("calibrated against true probability", "truth", "map misses|map without fault"),
    Row("slope and O:E by true risks, all", "truth", "^[a-z]+: (slope, by|true /)"),
    Row("slope and O:E by true risks, groups of 500", "truth", "^[a-z]+, .*: (slope, by|true /)"),
    Row("slope and O:E as observed, all and groups", "truth",
        "^[a-z]+(, .*)?: (slope$|observed)"),
    Row("90 % sets, all and by class", "truth", "^[a-z]+: (sets hold|mean set)"),
    Row("90 % sets, groups", "truth", "^[a-z]+, .*: sets hold"),
    Row("thresholds with a promise", "truth", "of a threshold for"),
    Row("90 % intervals", "truth", "intervals hold"),
    Row("the 80 % most certain", "truth", "most certain, by their|the same of"),
    Row("pointing game, evidence inside, quiet scans", "truth", "peak within|inside it|under 0.1"),
    Row("maps finer than tokens", "fineness", ""),
    Row("parts' sum", "truth", "parts' sum"),
    Row("deletion", "truth", "deletion"),
    Row("redrawn weights", "truth", "redrawn|randomised"),
    Row("peaks on decoys", "decoys", ""),
    Row("there and back", "there_and_back", ""),
    Row("planted failures", "planted", ""),
    Row("cost of evidence", "evidence_cost", ""),
    Row("held-out scanners, words and drawing", "truth_family_b",
        "^excess AUROC, mean|^points from recorded, mean|map misses|^[a-z]+: (slope, by|true /)|"
        "peak within"),
    Row("the other world", "truth_chest_ct", "map misses|^[a-z]+: (slope|sets hold)|"
        "intervals hold|peak within|inside it|under 0.1|deletion"),
)  # fmt: skip


def main() -> None:
    """Write both pages and the model's list."""
    write_figures(RESULTS / "model.json", model_figures())
    for path, text in pages().items():
        path.write_text(text)
        print(path)


def model_figures() -> list[Figure]:
    """Return the model's figures in one list."""
    return [figure for row in MODEL for figure in found_for(row)]


def pages() -> dict[Path, str]:
    """Return the text of both pages as the results now are."""
    asked = {"model": ("The model", MODEL), "truth": ("Risks and maps", TRUTH)}
    return {
        PAGES / f"{name}.md": "\n".join(_page(title, rows)) + "\n"
        for name, (title, rows) in asked.items()
    }


def found_for(row: Row) -> list[Figure]:
    """Return the figures of a row; none where its file was never written."""
    path = RESULTS / f"{row.file}.json"
    if not path.is_file():
        return []
    found = [Figure(**one) for one in json.loads(path.read_text())]
    return [one for one in found if re.search(row.pattern, one.name)]


def _page(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"# {title}: what is asked, and what was found (simulated patients)"
    yield ""
    yield (
        "Written by `python -m benchmarks.standing` from [results](results/), where all figures "
        "are. Shapes are of real scans; everything else is simulated, and says nothing of patients."
    )
    for row in rows:
        found = found_for(row)
        yield from ("", f"## {row.asked}", "")
        if not found:
            yield f"Not measured: there is no results/{row.file}.json with it."
            continue
        asked = [one for one in found if one.at_least is not None]
        n_met = 0
        if asked:
            n_met = sum(meets(one.value, one.at_least, one.aim) for one in asked)
            yield f"{n_met} of {len(asked)} reach what is asked at least."
            yield ""
        yield "| what | found | at least | aim | |"
        yield "| --- | --- | --- | --- | --- |"
        shown = found if len(found) <= MOST_LINES else _told_of(found)
        yield from (_line(one) for one in shown)
        if len(shown) < len(found):
            what = "those that are missed" if asked and n_met < len(asked) else "the first"
            yield from ("", f"Of {len(found)} figures only {what} are shown.")
        for command in sorted({one.command for one in found}):
            yield from ("", f"`{command}`")


def _told_of(found: Sequence[Figure]) -> list[Figure]:
    missed = [one for one in found if not meets(one.value, one.at_least, one.aim)]
    return missed or list(found[:MOST_LINES])


def meets(value: float, at_least: Bound, aim: Bound) -> bool:
    """Say whether a value reaches what is asked at least; see :class:`Figure` for the sides."""
    if at_least is None:
        return True
    if isinstance(at_least, (tuple, list)):
        low, high = at_least
        return (low is None or value >= low) and (high is None or value <= high)
    is_ceiling = isinstance(aim, (int, float)) and aim < at_least
    return value <= at_least if is_ceiling else value >= at_least


def _line(one: Figure) -> str:
    ends = f" ({_short(one.interval[0])} to {_short(one.interval[1])})" if one.interval else ""
    verdict = "" if meets(one.value, one.at_least, one.aim) else "**missed**"
    return (
        f"| {one.name} | {_short(one.value)}{ends} | {_bound(one.at_least)} | {_bound(one.aim)} "
        f"| {verdict} |"
    )


def _bound(bound: Bound) -> str:
    if bound is None:
        return ""
    if isinstance(bound, (tuple, list)):
        return " to ".join(_short(end) if end is not None else "" for end in bound)
    return _short(bound)


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10 else f"{value:.1f}"


if __name__ == "__main__":
    main()
