from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import LeakError
from pipeline.geometry import Geometry
from pipeline.tensors import ImageInput
from pipeline.train.examples import Example
from pipeline.train.fingerprints import (
    Fingerprint,
    closest_pairs,
    fingerprint_of,
    fingerprints_of,
)
from pipeline.train.labelled import Source
from pipeline.train.leaks import IMAGE_LIMIT, Parts, find_leaks, require_clean
from pipeline.train.similar_notes import compare_notes
from pipeline.train.train import train_bundle
from schemas.history import History, Note
from schemas.leaks import LeakKind, LeakReport
from schemas.protocol import Protocol
from schemas.task import Task

SCAN = datetime(2024, 5, 31)
TASKS = (
    Task(name="growth", question="Will it grow?", label_words=("progression was confirmed",)),
    Task(name="lesion", question="Is there a lesion?"),
)
WORDS = np.array([f"w{number}" for number in range(4000)])
SHAPE = (16, 24, 32)


def prose(seed: int, count: int = 60) -> str:
    """Words in an order that no other seed gives."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, count))


def picture(seed: int) -> np.ndarray:
    """A head that all share, with a person's own build and detail."""
    random = np.random.default_rng(seed)
    common = np.random.default_rng(0).normal(0, 3, SHAPE)
    build = np.kron(random.normal(0, 1, tuple(size // 8 for size in SHAPE)), np.ones((8, 8, 8)))
    detail = np.kron(random.normal(0, 1, tuple(size // 2 for size in SHAPE)), np.ones((2, 2, 2)))
    return (common + build + detail).astype(np.float32)


def example(
    number: int, *, patient: str = "", image: np.ndarray | None = None, notes: Sequence[str] = ()
) -> Example:
    return Example(
        study_uid=f"1.2.{number}",
        patient_id=patient or f"p{number}",
        fingerprints=(fingerprint_of(picture(number) if image is None else image),),
        image=None,
        text=None,
        history=History(
            at=SCAN,
            notes=tuple(
                Note(written_at=SCAN - timedelta(days=9), kind="clinic", text=text)
                for text in notes or (prose(number),)
            ),
        ),
        labels=np.array([0.0, np.nan], np.float32),
        masks=np.zeros((2, 1, 1, 1), np.float32),
        quantities={},
    )


def split(**changes: Example) -> Parts:
    """Twelve cases in two parts; the named ones exchanged."""
    cases = {f"c{number}": example(number) for number in range(12)} | changes
    listed = list(cases.values())
    return {"train": listed[:8], "test": listed[8:]}


def kinds(report: LeakReport) -> dict[LeakKind, int]:
    return dict(report.counts)


def test_a_clean_split_passes_and_the_report_says_what_was_compared() -> None:
    report = find_leaks(split(), TASKS)
    assert report.is_clean
    assert (report.n_images, report.n_notes, report.n_notes_compared) == (12, 12, 12)
    assert report.n_patients["train"] == 8
    assert report.closest_images is not None
    assert report.closest_images < 0.6
    require_clean(report)


@pytest.mark.parametrize("spelling", ["p1", "P1", "p-1"])
def test_a_patient_in_two_parts_is_refused_in_any_spelling(spelling: str) -> None:
    report = find_leaks(split(c9=example(9, patient=spelling)), TASKS)
    assert kinds(report) == {"patient": 1}
    with pytest.raises(LeakError, match=r"one patient stands in two parts.*1\.2\.1 and 1\.2\.9"):
        require_clean(report)


def test_a_patient_twice_in_one_part_is_no_leak() -> None:
    assert find_leaks(split(c2=example(2, patient="p1")), TASKS).is_clean


def test_the_same_image_under_another_patient_is_refused() -> None:
    report = find_leaks(split(c9=example(9, image=picture(1))), TASKS)
    assert kinds(report) == {"same-image": 1}
    assert report.leaks[0].studies == ("1.2.1", "1.2.9")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: image * 1.1, id="gain"),
        pytest.param(
            lambda image: image + np.random.default_rng(9).normal(0, 0.2, SHAPE), id="noise"
        ),
        pytest.param(lambda image: np.round(image * 8) / 8, id="lossy"),
    ],
)
def test_nearly_the_same_image_is_refused(change: object) -> None:
    altered = change(picture(1)).astype(np.float32)  # type: ignore[operator]
    report = find_leaks(split(c9=example(9, image=altered)), TASKS)
    assert kinds(report) == {"similar-image": 1}


def test_people_of_one_build_are_not_taken_for_one_image() -> None:
    random = np.random.default_rng(5)
    fine = np.kron(random.normal(0, 1, tuple(size // 2 for size in SHAPE)), np.ones((2, 2, 2)))
    own = np.kron(
        np.random.default_rng(1).normal(0, 9, tuple(size // 8 for size in SHAPE)), np.ones((8,) * 3)
    )
    one, other = (example(n, image=(picture(n) * 0.1 + own + k * fine).astype(np.float32))
                  for n, k in ((1, 1), (9, -1)))  # fmt: skip
    prints = [own for case in (one, other, example(2), example(3)) for own in case.fingerprints]
    known = [item for item in prints if isinstance(item, Fingerprint)]
    coarse = np.stack([item.coarse for item in known])
    alike = np.corrcoef(coarse - coarse.mean(axis=0))[0, 1]
    assert alike > IMAGE_LIMIT  # from afar they are one
    assert find_leaks(split(c1=one, c9=other), TASKS).is_clean


def test_of_many_people_those_of_one_build_down_to_the_detail_are_told_from_a_copy() -> None:
    ways = [picture(1000 + number) for number in range(4)]

    def built(seed: int, like: int) -> np.ndarray:
        of_build = np.random.default_rng(like).normal(0, 1, len(ways))
        body = sum(way * share for way, share in zip(ways, of_build, strict=True))
        return (body + 0.3 * picture(seed)).astype(np.float32)

    own = [fingerprint_of(built(number, number)) for number in range(400)]
    twin = fingerprint_of(built(7000, 5))
    noise = np.random.default_rng(9).normal(0, 0.1, SHAPE)
    copy = fingerprint_of((built(6, 6) + noise).astype(np.float32))
    group = np.array([0] * 400 + [1] * 2)
    found = {one: (other, alike) for one, other, alike in closest_pairs([*own, twin, copy], group)}
    assert np.corrcoef(own[5].fine, twin.fine)[0, 1] > IMAGE_LIMIT
    assert found[400][1] < 0.5
    assert found[401][0] == 6
    assert found[401][1] > IMAGE_LIMIT


def test_every_image_meets_its_twin_whatever_the_block() -> None:
    prints = [fingerprint_of(picture(number % 700)) for number in range(1400)]
    group = np.arange(1400) // 700
    found = {one: other for one, other, _ in closest_pairs(prints, group)}
    assert all(found[number] == number + 700 for number in range(700))


def test_a_note_copied_to_another_patient_is_refused() -> None:
    copied = f"Dear colleague, {prose(1)} Signed."
    report = find_leaks(split(c9=example(9, notes=[copied])), TASKS)
    assert kinds(report) == {"similar-note": 1}


def test_a_template_that_many_share_is_no_copy() -> None:
    form = prose(999, 80)
    cases = {f"c{n}": example(n, notes=[f"{form} {prose(n, 40)}"]) for n in range(12)}
    report = find_leaks(split(**cases), TASKS)
    assert report.is_clean
    assert report.closest_notes < 0.1


def test_a_template_with_nothing_of_ones_own_is_not_compared() -> None:
    form = prose(999, 80)
    report = find_leaks(split(**{f"c{n}": example(n, notes=[form]) for n in range(12)}), TASKS)
    assert report.is_clean
    assert report.n_notes_compared == 0


def test_likeness_is_the_shared_part_of_the_runs_of_five_words() -> None:
    words = prose(1, 44).split()
    texts = [" ".join(words), " ".join([*words[:34], *prose(2, 10).split()])]
    # 40 runs each; the first 30 are the same: 30 / (40 + 40 - 30) = 0.6
    (pair,) = compare_notes(texts, ["a", "b"], ["train", "test"], at_least=0.5).pairs
    assert pair.likeness == pytest.approx(0.6)
    assert compare_notes(texts, ["a", "b"], ["train", "train"], at_least=0.5).pairs == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("On review progression\n was  Confirmed.", 1),
        ("Progression was not confirmed.", 0),
        ("Nonprogression was confirmed.", 0),
    ],
)
def test_label_words_are_found_as_whole_words(text: str, count: int) -> None:
    report = find_leaks(split(c2=example(2, notes=[text])), TASKS)
    assert report.label_words.get("growth", 0) == count
    assert report.is_clean is (count == 0)


def test_the_report_of_a_refusal_quotes_no_note_and_names_no_patient() -> None:
    notes = [f"{prose(1)} Progression was confirmed"]
    case = example(9, patient="p1", image=picture(1), notes=notes)
    report = find_leaks(split(c9=case), TASKS)
    assert set(kinds(report)) == {"patient", "same-image", "similar-note", "label-word"}
    text = report.model_dump_json()
    assert "p1" not in text
    assert "w1" not in text
    with pytest.raises(LeakError) as fault:
        require_clean(report)
    assert "p1" not in str(fault.value)


def test_each_series_is_compared_with_its_like_and_a_missing_one_with_none() -> None:
    absent = np.full(SHAPE, -1.0, np.float32)

    def flair_only(number: int, drawn: int) -> Example:
        voxels = torch.from_numpy(np.stack([absent, picture(drawn)]))
        scanned = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)]).bool()
        image = ImageInput(voxels, scanned, Geometry(np.eye(4)[[2, 1, 0, 3]], SHAPE, "1.2.3"))
        return replace(example(number), fingerprints=fingerprints_of(image))

    alone = split(c1=flair_only(1, 101), c9=flair_only(9, 109))
    assert find_leaks(alone, TASKS).is_clean
    twice = split(c1=flair_only(1, 101), c9=flair_only(9, 101))
    assert kinds(find_leaks(twice, TASKS)) == {"same-image": 1}


def test_a_report_of_a_guard_that_was_off_is_not_clean() -> None:
    assert not LeakReport(is_checked=False).is_clean


def test_cases_without_image_or_notes_are_passed_over() -> None:
    bare = replace(example(9), fingerprints=(), history=History(at=SCAN))
    report = find_leaks(split(c9=bare), TASKS)
    assert (report.n_images, report.n_notes) == (11, 11)
    assert report.is_clean


def test_a_training_that_leaks_stops_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_protocol: Protocol
) -> None:
    cases = [example(number) for number in range(300)]
    # Twenty more with the first one's image: they cannot all fall in one part.
    twins = range(300, 320)
    cases += [replace(example(number), fingerprints=cases[0].fingerprints) for number in twins]
    module = "pipeline.train.train"
    monkeypatch.setattr(f"{module}.load_text_encoder", lambda *_, **__: None)
    monkeypatch.setattr(f"{module}.read_labelled", lambda *_, **__: (cases, len(cases)))
    monkeypatch.setattr(f"{module}.fit_table_transform", lambda *_: pytest.fail("fitted"))
    with pytest.raises(LeakError, match="the same image stands in two parts"):
        train_bundle(Source(tmp_path), tiny_protocol, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    report = LeakReport.model_validate_json((tmp_path / "bundle_leaks.json").read_text())
    assert report.counts["same-image"] > 0
