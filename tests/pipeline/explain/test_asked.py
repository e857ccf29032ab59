"""The network here is a known sum: of the image, of each variable, of each sentence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from pipeline.explain import Record, ask, what_if_of, with_each_left_out
from pipeline.explain.changes import alternatives, sentences_that_say
from pipeline.explain.restate import restated
from pipeline.geometry import Geometry
from pipeline.history.concepts import extractor_for
from pipeline.preprocess import TableTransform, table_input
from pipeline.protocol import read_protocol
from pipeline.sentences import sentence_spans
from pipeline.tensors import (
    FLAGS,
    ImageInput,
    ModelInput,
    Sentence,
    TableInput,
    TextInput,
    TextWindow,
)
from schemas.column import Column
from schemas.history import ConceptValue, History, Mention, Note, TableValue
from schemas.notes_rule import Concept
from schemas.prediction import ConceptEvidence, Evidence, NoteEvidence, TableEvidence
from schemas.protocol import Protocol

SCAN = datetime(2024, 5, 31)
LETTER = "Had two seizures in May. No weakness. Sister has seizures."
CLINIC = "Left arm is weak; seizures persist. Sleeps well."
COLUMNS = (
    Column(name="age", kind="number", unit="years", low=0, high=120),
    Column(name="sex", kind="category", categories=("F", "M")),
    Column(name="cancer", kind="flag"),
    Column(name="crp", kind="number", unit="mg/L", low=0, high=500),
)
CONCEPTS = (
    Concept(name="fits", label="Own seizures", kind="presence", words=("seizure",)),
    Concept(name="weakness", kind="side", words=("weak",)),
    Concept(name="drug", kind="drug", words=("drug",)),
)
TRANSFORM = TableTransform(
    columns=COLUMNS, concepts=CONCEPTS, means=(61.23, 0, 0, 12.0, 0, 0, 0),
    scales=(10.0, 1, 1, 4.0, 1, 1, 1),
    choices=(
        (), ("F", "M"), ("False", "True"), (), ("absent", "present"),
        ("absent", "left", "right", "both", "present"), ("absent", "present", "stopped"),
    ),
)  # fmt: skip
USUAL = {"age": (61.23, 10.0), "crp": (12.0, 4.0)}


def mention(concept: str, note: int, text: str, words: str, value: str, **other: object) -> Mention:
    start = text.index(words)
    return Mention.model_validate(
        {
            "concept": concept, "note": note, "start": start, "end": start + len(words),
            "value": value, "counts": True,
        }
        | other
    )  # fmt: skip


def history() -> History:
    values = {"age": 80.0, "sex": "F", "cancer": True, "crp": 13.0}
    return History(
        at=SCAN,
        values=tuple(TableValue(name=name, value=value) for name, value in values.items()),
        concepts=(
            ConceptValue(name="fits", value="present"),
            ConceptValue(name="weakness", value="left"),
            ConceptValue(name="drug", value=None),
        ),
        mentions=(
            mention("fits", 0, LETTER, "seizures in", "present"),
            mention("weakness", 0, LETTER, "weakness", "absent"),
            mention("fits", 0, LETTER, "seizures.", "present", counts=False),
            mention("weakness", 1, CLINIC, "weak", "left"),
            mention("fits", 1, CLINIC, "seizures", "present"),
        ),
        notes=(
            Note(written_at=SCAN, kind="letter", text=LETTER),
            Note(written_at=SCAN, kind="clinic", text=CLINIC),
        ),
    )


def notes(told: History) -> TextInput:
    sentences = [
        Sentence(note.written_at, note.kind, note.text[start:end])
        for note in told.notes
        for start, end in sentence_spans(note.text)
    ]
    n = len(sentences)
    return TextInput(
        features=torch.arange(1.0, n + 1)[:, None], kinds=torch.zeros(n, 1),
        age_days=torch.zeros(n), flags=torch.arange(n)[:, None].expand(n, len(FLAGS)).float(),
        sentences=tuple(sentences),
        windows=tuple(TextWindow(number, (number,), slice(0, 1)) for number in range(n)),
        kind_windows=tuple(TextWindow(number, (50 + number,), slice(0, 1)) for number in range(n)),
    )  # fmt: skip


def protocol(tiny: Protocol) -> Protocol:
    return tiny.model_copy(update={"table": COLUMNS, "concepts": CONCEPTS})


@pytest.fixture
def record(tiny_protocol: Protocol) -> Record:
    told = history()
    shape = (4, 4, 4)
    grid = Geometry(np.eye(4)[[2, 1, 0, 3]], shape)
    image = ImageInput(torch.ones(1, *shape), torch.ones(1, *shape, dtype=torch.bool), grid)
    case = ModelInput(image, notes(told), table_input(told, TRANSFORM))
    return Record(
        case, told, protocol(tiny_protocol), lambda other: table_input(other, TRANSFORM),
        lambda note: notes(History(at=SCAN, notes=(note,))), USUAL,
    )  # fmt: skip


EFFECTS = np.array([0.5, -0.25, 1.0, 0.125, 2.0, -1.5, 4.0])


def score(case: ModelInput) -> np.ndarray:
    """Say 0.3 with nothing read; the image adds 1, a sentence a tenth of its number."""
    odds = 0.3 + (case.image is not None)
    if case.text is not None:
        odds += 0.1 * float(case.text.features.sum())
    if case.table is not None:
        # A number counts by its value, a choice by its place among the choices.
        places = torch.arange(1.0, case.table.values.shape[1] + 1)
        odds += float(EFFECTS @ (case.table.values @ places).numpy())
    return np.array([odds, -odds])


def read(cases: Sequence[ModelInput]) -> np.ndarray:
    return np.stack([score(case) for case in cases])


def test_all_variants_are_read_at_once_and_share_the_image(record: Record) -> None:
    calls = []

    def counting(cases: Sequence[ModelInput]) -> np.ndarray:
        calls.append(cases)
        return read(cases)

    told = ask(counting, record, score(record.case))
    assert len(calls) == 1
    images = {case.image for case in calls[0]}
    assert images == {record.case.image, None}
    # 7 subsets but the whole, 6 known variables, 5 sentences, and the facts turned round.
    assert len(calls[0]) == 7 + 6 + 5 + len(told.changes)


def test_each_part_is_left_out_by_itself(record: Record) -> None:
    whole = score(record.case)
    told = ask(read, record, whole)
    assert sorted(told.variables) == [0, 1, 2, 3, 4, 5]  # the drug is unknown
    flag = whole - told.variables[2]
    assert flag == pytest.approx([2.0, -2.0])  # "True" is a flag's second choice
    assert whole - told.variables[5] == pytest.approx([-3.0, 3.0])  # left is the second side
    falls = [float((whole - one)[0]) for one in told.sentences]
    assert falls == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_the_shares_of_the_modalities_are_what_the_sum_says(record: Record) -> None:
    told = ask(read, record, score(record.case))
    found = what_if_of(told, 0, None).modalities
    image, notes_, table = found.shares
    # Concepts go with the notes: 1.5 from sentences, 4 from fits, -3 from the weakness.
    assert image.log_odds == pytest.approx(1.0)
    assert notes_.log_odds == pytest.approx(1.5 + 4.0 - 3.0)
    assert table.log_odds == pytest.approx(float(score(record.case)[0]) - 0.3 - 1.0 - 2.5)
    assert found.subsets[0].calibrated_logit == pytest.approx(0.3)
    assert found.risk_of("image") == pytest.approx(expit(1.3))
    assert len(found.subsets) == 8


def test_an_absent_modality_has_no_share(record: Record) -> None:
    blind = replace(record, case=replace(record.case, image=None))
    found = what_if_of(ask(read, blind, score(blind.case)), 0, None).modalities
    assert [share.is_present for share in found.shares] == [False, True, True]
    assert found.shares[0].log_odds == 0.0
    assert len(found.subsets) == 4
    assert found.risk_of("image") is None


def test_numbers_become_usual_and_flags_unset_where_they_are_not(record: Record) -> None:
    found = [one for one in alternatives(record) if one.kind == "table"]
    # The age is 1.9 standard deviations off; CRP a quarter of one; a category has no usual value.
    assert [(one.variable.name, one.before, one.after) for one in found] == [
        ("age", 80.0, 61.2), ("cancer", True, False),
    ]  # fmt: skip
    assert [one.reference for one in found] == ["mean", None]
    age = found[0].case.table
    assert age is not None
    assert float(age.values[0, 0]) == pytest.approx((61.2 - 61.23) / 10, abs=1e-6)
    assert record.case.table is not None
    assert torch.equal(age.values[1:], record.case.table.values[1:])


@pytest.mark.parametrize(
    ("normal", "becomes"),
    [((20.0, 70.0), [70.0]), ((90.0, 100.0), [90.0]), ((80.0, 90.0), []), ((70.0, 80.0), [])],
)
def test_a_number_outside_its_normal_range_takes_the_nearer_end(
    record: Record, normal: tuple[float, float], becomes: list[float]
) -> None:
    age, *others = record.protocol.table
    columns = (age.model_copy(update={"normal": normal}), *others)
    protocol = record.protocol.model_copy(update={"table": columns})
    found = [
        one for one in alternatives(replace(record, protocol=protocol))
        if one.variable.name == "age"
    ]  # fmt: skip
    assert [(one.before, one.after, one.reference) for one in found] == [
        (80.0, after, "normal") for after in becomes
    ]


def test_a_concept_is_not_spoken_of_or_the_other_way_round(record: Record) -> None:
    found = [one for one in alternatives(record) if one.kind == "concept"]
    assert [(one.variable.name, one.before, one.after, one.n_sentences) for one in found] == [
        ("fits", "present", None, 2), ("fits", "present", "absent", 2),
        ("weakness", "left", None, 2), ("weakness", "left", "right", 2),
        ("weakness", "left", "absent", 1),
    ]  # fmt: skip
    text = found[0].case.text
    assert text is not None
    # Her sister's seizures are not her own, so that sentence stays.
    assert [one.text for one in text.sentences] == [
        "No weakness.", "Sister has seizures.", "Sleeps well.",
    ]  # fmt: skip
    assert [window.sentence for window in text.windows] == [0, 1, 2]
    assert [window.pieces for window in text.windows] == [(1,), (2,), (4,)]
    assert [window.sentence for window in text.kind_windows] == [0, 1, 2]
    assert [window.pieces for window in text.kind_windows] == [(51,), (52,), (54,)]
    # That it is absent was said in the letter, and goes on being said.
    assert found[-1].case.text is not None
    assert len(found[-1].case.text.sentences) == 5


def test_what_is_the_other_way_round_is_said_in_the_place_of_what_was(record: Record) -> None:
    _, absent, unsaid, right, _ = [one for one in alternatives(record) if one.kind == "concept"]
    assert [one.restated for one in (absent, unsaid, right)] == [
        "No seizure.", "", "Weak on the right.",
    ]  # fmt: skip
    text = absent.case.text
    assert text is not None
    assert [one.text for one in text.sentences] == [
        "No seizure.", "No weakness.", "Sister has seizures.", "Sleeps well.",
    ]  # fmt: skip
    assert [one.kind for one in text.sentences] == ["letter", "letter", "letter", "clinic"]
    assert text.features[:, 0].tolist() == [1.0, 2.0, 3.0, 5.0]  # read by itself, it is the first
    assert sorted(window.sentence for window in text.windows) == [0, 1, 2, 3]
    assert record.case.text is not None
    assert record.case.text.sentences[0].text != "No seizure."


def test_without_notes_nothing_is_said_in_their_place(record: Record) -> None:
    silent = replace(record, case=replace(record.case, text=None))
    assert {one.restated for one in alternatives(silent)} == {""}


@pytest.mark.parametrize("name", ["brain_mr", "chest_ct", "brain_kinds"])
def test_what_stands_in_their_place_is_read_as_it_is_meant(name: str) -> None:
    concepts = read_protocol(Path(f"data_samples/protocols/{name}.yaml")).concepts
    reader = extractor_for(concepts)
    facts = {"drug": ("present", "stopped", "absent"), "side": ("left", "right", "absent")}
    for number, concept in enumerate(concepts):
        for fact in facts.get(concept.kind, ("present", "absent")):
            sentence = restated(concept, fact)
            assert sentence is not None
            read = [one.value for one in reader.sentence(sentence) if one.concept == number]
            assert read == [fact]


@pytest.mark.parametrize(
    ("other", "fact", "sentence"),
    [
        ({"words": ("gave ... way", "weakness")}, "absent", "No weakness."),
        ({"words": ("gave ... way",)}, "absent", None),
        ({"about": "family"}, "present", "Family history of seizure."),
        ({"about": "family"}, "absent", "No family history of seizure."),
        ({"kind": "number", "unit": "mg/L", "low": 0, "high": 9}, 4.25, "Seizure 4.25 mg/L."),
    ],
)
def test_a_fact_is_a_plain_sentence(
    other: dict[str, object], fact: float | str, sentence: str | None
) -> None:
    concept = Concept.model_validate({"name": "fits", "words": ("seizure",)} | other)
    assert restated(concept, fact) == sentence


@pytest.mark.parametrize(("said", "turned"), [("present", "stopped"), ("stopped", "present")])
def test_a_drug_that_is_taken_might_have_been_stopped(
    record: Record, said: str, turned: str
) -> None:
    concepts = (*record.history.concepts[:2], ConceptValue(name="drug", value=said))  # type: ignore[arg-type]
    told = record.history.model_copy(update={"concepts": concepts})
    found = [
        (one.before, one.after)
        for one in alternatives(replace(record, history=told))
        if one.variable.name == "drug"
    ]
    assert found == [(said, None), (said, turned)]


def test_a_patient_without_any_record_has_nothing_to_turn_round(record: Record) -> None:
    image = ModelInput(record.case.image, None, None)
    bare = replace(record, case=image, history=History(at=None))
    told = ask(read, bare, score(image))
    assert (told.changes, told.variables, told.sentences) == ((), {}, ())
    assert len(told.subsets) == 2


def test_a_sentence_is_found_by_its_place_in_its_note() -> None:
    told = history()
    assert sentences_that_say(told, "fits", other_than=None) == {0, 3}
    assert sentences_that_say(told, "weakness", other_than="left") == {1}
    assert sentences_that_say(told, "drug", other_than=None) == frozenset()


def test_changes_come_in_the_order_of_their_effect(record: Record) -> None:
    told = ask(read, record, score(record.case))
    found = what_if_of(told, 0, painted=-3.0)
    whole = float(score(record.case)[0])
    effects = [abs(one.calibrated_logit - whole) for one in found.changes]
    assert effects == sorted(effects, reverse=True)
    (image,) = [one for one in found.changes if one.kind == "image"]
    assert image.probability == pytest.approx(expit(-3.0))
    assert not any(one.kind == "image" for one in what_if_of(told, 0, None).changes)


def test_evidence_gets_the_probability_without_each_row(record: Record) -> None:
    told = ask(read, record, score(record.case))
    parts = Evidence(
        bias=0.0, image=0.0,
        table=tuple(TableEvidence(name=c.name, value=1.0, contribution=0.0) for c in COLUMNS),
        concepts=tuple(
            ConceptEvidence(name=c.name, value=None, contribution=0.0) for c in CONCEPTS
        ),
        notes=tuple(
            NoteEvidence(written_at=SCAN, kind="x", quote="y", contribution=0.0) for _ in range(5)
        ),
    )  # fmt: skip
    found = with_each_left_out(parts, told, 0)
    whole = float(score(record.case)[0])
    assert found.table[2].probability_without == pytest.approx(expit(whole - 2.0))
    assert found.concepts[0].probability_without == pytest.approx(expit(whole - 4.0))
    assert found.concepts[2].probability_without is None
    assert found.notes[4].probability_without == pytest.approx(expit(whole - 0.5))


def test_what_is_left_out_last_leaves_nothing() -> None:
    one = TableInput(torch.ones(2, 1), torch.tensor([False, True]), 1)
    assert one.without(1) is None
    assert one.without(0) is not None
    text = TextInput(
        torch.ones(1, 1), torch.ones(1, 1), torch.ones(1), torch.ones(1, len(FLAGS)),
        (Sentence(SCAN, "x", "y"),),
    )  # fmt: skip
    assert text.without({0}) is None


def test_sentences_that_stay_keep_their_flags() -> None:
    left = notes(history()).without({1})
    assert left is not None
    assert left.flags[:, 0].tolist() == [0.0, *range(2, len(left.sentences) + 1)]


def test_a_fact_whose_only_sentence_went_was_read_in_notes_all_the_same() -> None:
    table = TableInput(torch.zeros(7, 5), torch.tensor([False] * 4 + [True] + [False] * 2), 3)
    case = ModelInput(None, None, table)
    assert case.present == ("notes",)
    assert replace(case, table=table.only(columns=True, concepts=False)).present == ()
    kept = case.only(("notes",)).table
    assert kept is not None
    assert kept.has_concepts
