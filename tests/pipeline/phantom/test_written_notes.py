import re
from itertools import pairwise

import numpy as np

from pipeline.phantom.notes import notes_before
from pipeline.phantom.patient import Design, draw_patient
from pipeline.phantom.records import draw_records
from pipeline.phantom.traps import Trap
from pipeline.phantom.world import FAMILIES

MANY = 400


def test_notes_are_one_to_four_and_mostly_differ(design: Design) -> None:
    counts, texts = [], set()
    for index in range(MANY):
        patient = draw_patient(design, index)
        notes = notes_before(design.stream(index, "records"), design, patient)
        assert bool(notes) == patient.has_notes
        assert all(note.written_at <= patient.scanned_at for note in notes)
        counts.append(len(notes))
        texts |= {note.text for note in notes}
    assert set(counts) == {0, 1, 2, 3, 4}
    assert len(texts) > 0.97 * sum(counts)


def test_no_note_states_an_age_which_would_tell_what_the_table_lacks(design: Design) -> None:
    for index in range(MANY // 4):
        patient = draw_patient(design, index)
        for note in notes_before(design.stream(index, "records"), design, patient):
            assert not re.search(r"years? old|\baged\b|\byo\b", note.text)


def test_templates_fill_and_no_family_speaks_as_the_other_does(design: Design) -> None:
    for topic in design.world.topics:
        for status in topic.statuses:
            assert not set(status.phrases["a"]) & set(status.phrases["b"])
        assert not set(topic.distractors["a"]) & set(topic.distractors["b"])
    for family in FAMILIES:
        language = design.world.language[family]
        templates = [
            *language.small_talk,
            *(p for t in design.world.topics for p in t.distractors[family]),
            *(p for t in design.world.topics for s in t.statuses for p in s.phrases[family]),
        ]
        slots = {slot for text in templates for slot in re.findall(r"\{(\w+)\}", text)}
        assert slots <= set(language.slots)
        sections = {topic.section for topic in design.world.topics} | {"family", "social"}
        assert sections <= set(language.headings)


def test_what_is_outdated_is_never_the_newest(design: Design) -> None:
    found = 0
    for index in range(MANY):
        notes = notes_before(design.stream(index, "records"), design, draw_patient(design, index))
        if notes:
            assert Trap.OUTDATED not in notes[-1].traps
        found += sum(Trap.OUTDATED in note.traps for note in notes)
    assert found > 10


def test_a_copied_note_stands_whole_in_the_next(design: Design) -> None:
    found = 0
    for index in range(MANY // 2):
        notes = notes_before(design.stream(index, "records"), design, draw_patient(design, index))
        for older, newer in pairwise(notes):
            if Trap.COPIED_FORWARD in newer.traps and newer.text.startswith(older.text):
                found += 1
    assert found > 10


def test_a_third_has_a_future_and_it_states_every_outcome(design: Design) -> None:
    shares = []
    for index in range(MANY):
        patient = draw_patient(design, index)
        records = draw_records(design.stream(index, "records"), design, patient)
        rows, _, notes = records.with_trap(Trap.FUTURE)
        assert rows == notes
        shares.append(rows > 0)
        for note in records.notes:
            if Trap.FUTURE in note.traps:
                assert note.written_at > patient.scanned_at
                for risk in design.world.risks:
                    said = risk.outcome_notes[0 if patient.outcomes[risk.task] else 1]
                    assert any(sentence in note.text for sentence in said)
    assert 0.23 < np.mean(shares) < 0.37
