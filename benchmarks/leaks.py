"""What leaks do to a model, and what the guard against them sees.

    python -m benchmarks.leaks [N_PATIENTS [N_IMAGES]]

Writes benchmarks/results/leaks.json and leaks.md. All patients are simulated. Three questions:

1. Is the trap real? A linear model reads the tables and notes of simulated patients, once cut at
   the scan and once not cut at all. It reads no image: what leaks is in the records.
2. Does the comparison of notes find copies, and does it take templates for copies?
3. Does the comparison of images find altered copies, and does it take two people for one?
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MaxAbsScaler

import flows  # noqa: F401  sets the environment's defaults
from pipeline.history import pair
from pipeline.phantom import WORLDS, Design
from pipeline.phantom.benchmark import draw_benchmark, memory_records
from pipeline.phantom.patient import Patient, draw_patient
from pipeline.phantom.records import draw_records
from pipeline.preprocess import image_input
from pipeline.protocol import read_protocol
from pipeline.train.fingerprints import Fingerprint, closest_pairs, fingerprint_of
from pipeline.train.leaks import IMAGE_LIMIT, NOTE_LIMIT
from pipeline.train.similar_notes import compare_notes
from pipeline.train.splits import Member, assign_parts
from schemas.history import ConceptValue, History, TableValue
from schemas.protocol import Protocol
from schemas.series import Study
from schemas.settings import SplitRule

RESULTS = Path(__file__).parent / "results"
PROTOCOLS = Path("data_samples/protocols")
SEED, N_PATIENTS, N_IMAGES, N_BOOTSTRAP, N_COPIES = 61, 3000, 200, 1000, 100
FAR, FAR_BACK_DAYS = datetime(2100, 1, 1), 36525
RULE = SplitRule(by="stratified", train=0.5, validation=0.05, calibration=0.05, conformal=0.0)

Scores = NDArray[np.float64]


def main(n_patients: int, n_images: int) -> None:
    """Simulate, compare, write."""
    worlds = {}
    for name, world in WORLDS.items():
        protocol = read_protocol(PROTOCOLS / f"{name}.yaml")
        design = Design(world=world, seed=SEED)
        patients = [draw_patient(design, index) for index in range(n_patients)]
        cut, uncut = _histories(design, patients, protocol)
        worlds[name] = {
            "time_rule": _time_rule(patients, cut, uncut),
            "notes": _notes(patients, cut),
            "images": _images(design, protocol, n_images),
        }
    result = {
        "command": f"python -m benchmarks.leaks {n_patients} {n_images}",
        "machine": platform.machine(),
        "seed": SEED,
        "patients": n_patients,
        "scans": n_images,
        "worlds": worlds,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "leaks.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "leaks.md").write_text(_markdown(result, worlds))
    print((RESULTS / "leaks.md").read_text())


def _histories(
    design: Design, patients: Sequence[Patient], protocol: Protocol
) -> tuple[list[History], list[History]]:
    """Return every patient's history cut at the scan, and the same without the time rule."""
    drawn = [
        draw_records(design.stream(index, "records"), design, patient)
        for index, patient in enumerate(patients)
    ]
    studies = [
        Study(
            study_uid=patient.study_uid, patient_id=patient.patient_id, series=(),
            acquired_at=patient.scanned_at, content_sha256="",
        )
        for patient in patients
    ]  # fmt: skip
    pairing = pair(memory_records(drawn, protocol), studies, protocol)
    endless = protocol.model_copy(update={"look_back_days": FAR_BACK_DAYS})
    off = replace(pairing, protocol=endless)
    later = [study.model_copy(update={"acquired_at": FAR}) for study in studies]
    return [pairing.history(study) for study in studies], [off.history(study) for study in later]


def _time_rule(
    patients: Sequence[Patient], cut: Sequence[History], uncut: Sequence[History]
) -> Mapping[str, Mapping[str, object]]:
    """Return AUROC on test patients of models trained with and without the time rule."""
    tasks = list(patients[0].outcomes)
    labels = np.array([[float(patient.outcomes[task]) for task in tasks] for patient in patients])
    members = [
        Member(patient.patient_id, patient.scanned_at, tuple(row))
        for patient, row in zip(patients, labels.tolist(), strict=True)
    ]
    parts = assign_parts(members, RULE, seed=SEED)
    is_train = np.array([parts[patient.patient_id] == "train" for patient in patients])
    is_test = np.array([parts[patient.patient_id] == "test" for patient in patients])
    features = {}
    for name, histories in (("on", cut), ("off", uncut)):
        columns = _columns(histories, is_train)
        features[name] = columns(cut), columns(uncut)
    result = {}
    for number, task in enumerate(tasks):
        y = labels[:, number]
        on = _fit(features["on"][0][is_train], y[is_train])
        off = _fit(features["off"][1][is_train], y[is_train])
        scores = {
            "on": on(features["on"][0][is_test]),
            "off": off(features["off"][1][is_test]),
            "off_then_on": off(features["off"][0][is_test]),
        }
        result[task] = _compared(y[is_test], scores)
    return result


def _columns(
    histories: Sequence[History], is_train: NDArray[np.bool_]
) -> Callable[[Sequence[History]], csr_matrix]:
    """Fit words and scales on training patients; return what makes features of histories."""
    train = [history for history, mine in zip(histories, is_train, strict=True) if mine]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    words.fit([_text(history) for history in train])
    names = sorted({name for history in train for name in _values(history)})
    scaler = MaxAbsScaler().fit(_table(train, names))

    def features(some: Sequence[History]) -> csr_matrix:
        told = words.transform([_text(history) for history in some])
        return csr_matrix(hstack([told, scaler.transform(_table(some, names))]))

    return features


def _table(histories: Sequence[History], names: Sequence[str]) -> NDArray[np.float64]:
    rows = [_values(history) for history in histories]
    return np.array([[row.get(name, 0.0) for name in names] for row in rows])


def _text(history: History) -> str:
    return "\n".join(note.text for note in history.notes)


def _values(history: History) -> dict[str, float]:
    """Give a number as it is; a category, a flag or a missing one as 1 under a name of its own."""
    found = {}
    items: tuple[TableValue | ConceptValue, ...] = (*history.values, *history.concepts)
    for item in items:
        if type(item.value) is float:
            found[item.name] = item.value
        else:
            found[f"{item.name}={item.value}"] = 1.0
    return found


def _fit(features: csr_matrix, y: Scores) -> Callable[[csr_matrix], Scores]:
    model = LogisticRegression(C=3.0, max_iter=2000).fit(features, y)
    score: Callable[[csr_matrix], Scores] = model.decision_function
    return score


def _compared(y: Scores, scores: Mapping[str, Scores]) -> Mapping[str, object]:
    """Return each AUROC and the gain of the model with the rule off, on the same draws."""
    drawn = np.random.default_rng(0).integers(0, len(y), (N_BOOTSTRAP, len(y)))
    draws = [draw for draw in drawn if 0 < y[draw].sum() < len(y)]
    spread = {
        name: np.array([roc_auc_score(y[draw], score[draw]) for draw in draws])
        for name, score in scores.items()
    }
    point = {name: float(roc_auc_score(y, score)) for name, score in scores.items()}
    gains = {"gain": ("off", "on"), "deployed": ("off_then_on", "on")}
    return {
        "cases": len(y),
        "events": int(y.sum()),
        **{name: _interval(point[name], spread[name]) for name in scores},
        **{
            name: _interval(point[one] - point[other], spread[one] - spread[other])
            for name, (one, other) in gains.items()
        },
    }


def _interval(point: float, spread: Scores) -> list[float]:
    return [point, *np.percentile(spread, [2.5, 97.5]).tolist()]


def _notes(patients: Sequence[Patient], cut: Sequence[History]) -> Mapping[str, object]:
    """Compare all notes of two halves; then again with copies planted, each signed anew."""
    told = [
        (note.text, patient.patient_id, "one" if number % 2 else "other")
        for number, (patient, history) in enumerate(zip(patients, cut, strict=True))
        for note in history.notes
    ]
    texts, owners, halves = (list(part) for part in zip(*told, strict=True))
    start = time.perf_counter()
    clean = compare_notes(texts, owners, halves, at_least=NOTE_LIMIT)
    seconds = time.perf_counter() - start
    random = np.random.default_rng(SEED)
    long = [number for number, text in enumerate(texts) if len(text.split()) >= 40]
    chosen = random.permutation(long)[:N_COPIES]
    copies = [f"{texts[number]} Copied by the registrar on request." for number in chosen]
    planted = compare_notes(
        [*texts, *copies],
        [*owners, *(f"copy {number}" for number in chosen)],
        [*halves, *("one" if halves[number] == "other" else "other" for number in chosen)],
        at_least=NOTE_LIMIT,
    )
    found = {
        pair.second for pair in planted.pairs
        if pair.second >= len(texts) and pair.first == chosen[pair.second - len(texts)]
    }  # fmt: skip
    return {
        "notes": len(texts),
        "compared": clean.n_notes,
        "false_alarms": len(clean.pairs),
        "closest": clean.closest,
        "copies": len(copies),
        "copies_found": len(found),
        "microseconds_a_note": 1e6 * seconds / len(texts),
    }


def _images(design: Design, protocol: Protocol, count: int) -> Mapping[str, object]:
    """Compare all scans; then each with copies of itself, altered as archives alter them."""
    random = np.random.default_rng(SEED)
    own: list[Fingerprint] = []
    altered: dict[str, list[Fingerprint]] = {name: [] for name in _ALTERED}
    for drawn in draw_benchmark(design, protocol, range(count)):
        volume = drawn.case.volumes.get(protocol.series[0].name)
        if volume is None:
            continue
        own.append(fingerprint_of(image_input([volume], protocol).voxels[0].numpy()))
        if len(own) > N_COPIES:
            continue
        for name, change in _ALTERED.items():
            copy = replace(volume, array=change(volume.array, random).astype(np.float32))
            altered[name].append(fingerprint_of(image_input([copy], protocol).voxels[0].numpy()))
    apart = [likeness for _, _, likeness in closest_pairs(own, np.arange(len(own)))]
    found = {}
    for name, copies in altered.items():
        group = np.r_[np.zeros(len(own)), np.ones(len(copies))].astype(np.int64)
        pairs = list(closest_pairs([*own, *copies], group))[len(own) :]
        hits = [
            likeness >= IMAGE_LIMIT and other == number
            for number, (_, other, likeness) in enumerate(pairs)
        ]
        found[name] = [int(sum(hits)), len(hits)]
    return {"scans": len(own), "closest_of_two_people": float(max(apart)), "found": found}


_ALTERED: Mapping[str, Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.floating]]]
_ALTERED = {
    "sent again": lambda array, _: array,
    "noise, 20 % of the spread": lambda array, random: (
        array + random.normal(0, 0.2 * array.std(), array.shape)
    ),
    "grey levels cut to 32": lambda array, _: (
        np.round((array - array.min()) / np.ptp(array) * 31) / 31 * np.ptp(array) + array.min()
    ),
    "moved by one voxel": lambda array, _: np.roll(array, 1, axis=1),
}


def _markdown(result: Mapping[str, object], worlds: Mapping[str, Mapping[str, object]]) -> str:
    lines = [
        "# What leaks do, and what the guard sees (simulated patients)",
        "",
        f"`{result['command']}`, {result['machine']}, seed {result['seed']}, "
        f"{result['patients']} patients a world. A linear model over table values and words of "
        "the notes, no image; outcomes are all known; 95 % intervals by bootstrap of the test "
        "patients, differences on the same draws.",
        "",
        "*On*: histories cut at the scan. *Off*: nothing is cut, in training and in the test, as "
        "in a careless retrospective study. *Off, then used*: trained without the cut, then asked "
        "at the time of the scan, when the later records do not exist.",
        "",
        "| world | task | events of cases | AUROC, on | off | off, then used | off minus on "
        "| off, then used, minus on |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, world in worlds.items():
        for task, row in world["time_rule"].items():  # type: ignore[attr-defined]
            shown = [_shown(row[key]) for key in ("on", "off", "off_then_on")]
            gains = [_shown(row[key], sign="+") for key in ("gain", "deployed")]
            cells = [name, task, f"{row['events']} of {row['cases']}", *shown, *gains]
            lines.append(f"| {' | '.join(cells)} |")
    for name, world in worlds.items():
        notes, images = world["notes"], world["images"]
        found = "; ".join(
            f"{what}: {hits} of {of}"
            for what, (hits, of) in images["found"].items()  # type: ignore[index]
        )
        lines += [
            "",
            f"- {name}, notes: {notes['notes']}, of which {notes['compared']} have enough words "  # type: ignore[index]
            f"of their own; closest pair of two halves {notes['closest']:.2f}, false alarms "  # type: ignore[index]
            f"{notes['false_alarms']}; copies found {notes['copies_found']} of "  # type: ignore[index]
            f"{notes['copies']}.",  # type: ignore[index]
            f"- {name}, images: {images['scans']} scans of different people, closest pair "  # type: ignore[index]
            f"{images['closest_of_two_people']:.2f}, refused from {IMAGE_LIMIT} on; altered "  # type: ignore[index]
            f"copies found: {found}.",
        ]
    return "\n".join(lines) + "\n"


def _shown(interval: Sequence[float], sign: str = "") -> str:
    value, low, high = (f"{number:{sign}.3f}" for number in interval)
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [N_PATIENTS, N_IMAGES][len(given) :]))
