"""Concepts found in simulated notes whose wordings the extractor never saw, and its speed.

    python -m benchmarks.concepts            (part of make bench)
    python -m benchmarks.concepts dev        the wordings for tuning, with every error
    python -m benchmarks.concepts negex FILE negation in NegEx's annotated sentences

The first writes benchmarks/results/concepts.json and concepts.md. Simulated notes say nothing
about real ones; for NegEx's file see docs/history.md.
"""

import csv
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import yaml

from benchmarks.concept_notes import TrueNote, Truth, draw_notes, read_wordings
from pipeline.history.concepts import Extractor, extractor_for, read_concepts
from pipeline.history.notes import clean_notes
from pipeline.protocol import read_protocol
from schemas.history import Note
from schemas.notes_rule import Concept, NotesRule

HERE = Path(__file__).parent
PROTOCOLS = Path("data_samples/protocols")
RESULTS = HERE / "results"
N_NOTES, SEED = 2000, 41
N_SPEED = 20_000
WRITTEN = datetime(2024, 5, 31, 9, 0)
SIDES = ("left", "right", "both")

Counts = Mapping[str, Mapping[str, int]]


def main(argument: str = "test", *more: str) -> None:
    """Draw notes, read them, compare, write."""
    if argument == "negex":
        print(json.dumps(_negex(Path(more[0])), indent=1))
        return
    wordings = read_wordings(argument)
    concepts = tuple(concept for concept in _concepts() if concept.name in wordings.concepts)
    notes = draw_notes(wordings, N_NOTES, SEED)
    found = [_read(note, concepts) for note in notes]
    rows = {concept.name: _score(notes, found, concept.name) for concept in concepts}
    if argument == "dev":
        _print_errors(notes, found)
        print(_table(rows))
        return
    result = {
        "command": "python -m benchmarks.concepts",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "notes": N_NOTES,
        "seed": SEED,
        "concepts": rows,
        "confusions": {c.name: _confusions(notes, found, c.name) for c in concepts},
        "speed": _speed(concepts),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "concepts.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "concepts.md").write_text(_markdown(result, rows))
    print((RESULTS / "concepts.md").read_text())


def _concepts() -> tuple[Concept, ...]:
    """Return the concepts of the shipped protocols and of concepts.yaml."""
    shipped = [
        concept
        for name in ("brain_mr", "chest_ct")
        for concept in read_protocol(PROTOCOLS / f"{name}.yaml").concepts
    ]
    more = yaml.safe_load((HERE / "concepts.yaml").read_text())
    return (*shipped, *(Concept.model_validate(item) for item in more))


def _read(note: TrueNote, concepts: tuple[Concept, ...]) -> dict[str, Truth]:
    cleaned, _ = clean_notes([Note(written_at=WRITTEN, kind="clinic", text=note.text)], NotesRule())
    values, _, _ = read_concepts(cleaned, concepts)
    return {value.name: value.value for value in values}


def _score(
    notes: Sequence[TrueNote], found: Sequence[Mapping[str, Truth]], name: str
) -> dict[str, float | int | None]:
    """Return F1 over definite values: a wrong value is one false and one missed."""
    pairs = [(note.truth[name], values[name]) for note, values in zip(notes, found, strict=True)]
    right = sum(true is not None and true == value for true, value in pairs)
    told = sum(true is not None for true, _ in pairs)
    said = sum(value is not None for _, value in pairs)
    sided = [
        (true, value) for true, value in pairs if true in SIDES and value not in {None, "absent"}
    ]
    return {
        "told": told,
        "precision": right / said if said else None,
        "recall": right / told if told else None,
        "f1": 2 * right / (told + said) if told + said else None,
        "sides_found": len(sided),
        "side_right": sum(true == value for true, value in sided) / len(sided) if sided else None,
    }


def _confusions(
    notes: Sequence[TrueNote], found: Sequence[Mapping[str, Truth]], name: str
) -> dict[str, int]:
    pairs = Counter(
        (str(note.truth[name] or "unknown"), str(values[name] or "unknown"))
        for note, values in zip(notes, found, strict=True)
        if note.truth[name] != values[name]
    )
    return {f"{true} read as {value}": n for (true, value), n in pairs.most_common()}


def _print_errors(notes: Sequence[TrueNote], found: Sequence[Mapping[str, Truth]]) -> None:
    errors = Counter(
        (name, str(note.truth[name]), str(value), note.said.get(name, "NOT SAID: " + note.text))
        for note, values in zip(notes, found, strict=True)
        for name, value in values.items()
        if note.truth[name] != value
    )
    for (name, true, value, text), n in sorted(errors.items()):
        print(f"{n:3d} {name}: {true} read as {value}: {text}")


def _numbered(note: int, end: re.Match[str]) -> str:
    return f" ({note}.{end.start()})"


def _speed(concepts: tuple[Concept, ...]) -> dict[str, float | int]:
    """Read notes with a fresh extractor on one core; no sentence is like another."""
    drawn = draw_notes(read_wordings("test"), N_SPEED, SEED + 1)
    texts = [
        re.sub(r"(?=[.!?](?:\s|$))", partial(_numbered, number), note.text)
        for number, note in enumerate(drawn)
    ]
    extractor_for.cache_clear()
    start = time.process_time()
    for text in texts:
        note = Note(written_at=WRITTEN, kind="clinic", text=text)
        cleaned, _ = clean_notes([note], NotesRule())
        read_concepts(cleaned, concepts)
    seconds = time.process_time() - start
    return {
        "notes": N_SPEED,
        "mean_characters": round(sum(map(len, texts)) / N_SPEED),
        "notes_a_second": round(N_SPEED / seconds),
        "minutes_for_200000_on_one_core": round(200_000 / N_SPEED * seconds / 60, 1),
    }


def _negex(path: Path) -> dict[str, float | int]:
    """Compare negation with NegEx's annotations: number, phrase, sentence, Affirmed or Negated."""
    counts: Counter[tuple[bool, bool | None]] = Counter()
    with path.open(encoding="latin-1", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t"):
            phrase = " ".join(row[1].lower().split())
            if row[3] not in {"Affirmed", "Negated"} or not 0 < len(phrase) <= 80:
                continue
            try:
                concept = Concept(name="c", words=(phrase,))
            except ValueError:
                continue
            said = Extractor((concept,)).sentence(row[2])
            counts[row[3] == "Negated", said[0].value == "absent" if said else None] += 1
    right, missed, false = counts[True, True], counts[True, False], counts[False, True]
    return {
        "sentences": sum(n for (_, value), n in counts.items() if value is not None),
        "phrase_not_found": sum(n for (_, value), n in counts.items() if value is None),
        "negation_precision": right / (right + false),
        "negation_recall": right / (right + missed),
    }


def _table(rows: Mapping[str, Mapping[str, float | int | None]]) -> str:
    lines = [
        "| concept | told | precision | recall | F1 | sides found | side right |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        cells = [_cell(row[key]) for key in row]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | int | None) -> str:
    if value is None or value == 0:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _markdown(
    result: Mapping[str, object], rows: Mapping[str, Mapping[str, float | int | None]]
) -> str:
    confusions: Counts = result["confusions"]  # type: ignore[assignment]
    speed: Mapping[str, float] = result["speed"]  # type: ignore[assignment]
    wrong = [
        f"- {name}: " + "; ".join(f"{pair} {n}" for pair, n in pairs.items())
        for name, pairs in confusions.items()
        if pairs
    ]
    return "\n".join([
        "# Concepts in notes of unseen wordings (simulated)",
        "",
        f"`{result['command']}`, {result['notes']} notes, seed {result['seed']}, "
        f"{result['machine']}. *Told*: notes that give the concept a value. *F1*: a wrong value "
        "counts as one false and one missed.",
        "",
        _table(rows),
        "",
        "Confusions:",
        "",
        *(wrong or ["- none"]),
        "",
        f"Speed, one core, nothing cached before: {speed['notes_a_second']} notes a second of "
        f"{speed['mean_characters']} characters on average; 200,000 notes take "
        f"{speed['minutes_for_200000_on_one_core']} minutes.",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
