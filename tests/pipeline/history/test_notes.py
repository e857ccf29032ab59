"""Notes made readable: nothing that was written is lost but templates and copies."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.history import history_at, load_records
from pipeline.history.encoding import decoded
from pipeline.history.notes import clean_notes, repair_text
from pipeline.history.notes.sections import find_sections
from pipeline.history.notes.templates import is_template
from pipeline.sentences import sentence_spans
from schemas.history import Note
from schemas.issue import IssueCode
from schemas.notes_rule import Concept, NotesRule
from schemas.protocol import Protocol
from tests.pipeline.history.question import QUESTION

SCAN = datetime(2024, 5, 31, 14, 30)
LONG_LINE = "a line of a fixed width that was broken in the middle of a sentence"
PARAGRAPH = (
    "Walks to the shop every day with a stick. Sleeps badly because of the noise in the street. "
    "Weakness of the left arm is unchanged."
)


def note(text: str, days: float = 1.0) -> Note:
    return Note(written_at=SCAN - timedelta(days=days), kind="clinic", text=text)


def cleaned(*texts: str, rule: NotesRule | None = None) -> list[str]:
    notes = [note(text, days=len(texts) - number) for number, text in enumerate(texts)]
    return [one.text for one in clean_notes(notes, rule or NotesRule())[0]]


@pytest.mark.parametrize(
    ("content", "stated", "text", "is_sure"),
    [
        pytest.param("Sjögren".encode(), "", "Sjögren", True, id="utf-8"),
        pytest.param("Sjögren".encode("utf-8-sig"), "", "Sjögren", True, id="utf-8 with a mark"),
        pytest.param("Sjögren".encode("utf-16"), "", "Sjögren", True, id="utf-16"),
        pytest.param("Sjögren".encode("utf-16-le"), "", "Sjögren", True, id="utf-16, no mark"),
        pytest.param("5 µg \u2013".encode("cp1252"), "", "5 µg \u2013", False, id="windows"),
        pytest.param(b"\xe9l\xe8ve \x81", "", "\xe9l\xe8ve \x81", False, id="no byte is lost"),
        pytest.param(b"\xe9l\xe8ve", "latin-1", "\xe9l\xe8ve", True, id="as the site says"),
        pytest.param(b"a\x1b[0mb", "", "a\x1b[0mb", True, id="control characters"),
    ],
)
def test_a_note_file_is_read_in_its_encoding(
    content: bytes, stated: str, text: str, is_sure: bool
) -> None:
    found, doubt = decoded(content, stated)
    assert found == text
    assert (doubt == "") is is_sure


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SjÃ¶gren", "Sjögren"),
        ("patientâ€™s gait", "patient\u2019s gait"),
        ("fever &amp; rigors, CRP &lt; 5", "fever & rigors, CRP < 5"),
        ("ﬁts", "fits"),
        ("5\u00a0mg", "5 mg"),
        ("Plain text.\nTwo lines.", "Plain text.\nTwo lines."),
        ("“quoted”", "“quoted”"),
    ],
)  # fmt: skip
def test_a_wrong_decoding_is_undone(written: str, meant: str) -> None:
    assert repair_text(written) == meant


def test_a_folder_of_note_files_is_read_whatever_their_encoding(tmp_path: Path) -> None:
    protocol = Protocol.model_validate(QUESTION | {
        "concepts": [{"name": "fits", "words": ["epilepsy"]}],
    })  # fmt: skip
    folder = tmp_path / "notes" / "7"
    folder.mkdir(parents=True)
    (folder / "2024-05-01T08-00-00_clinic.txt").write_bytes("Sjögren.".encode("cp1252"))
    (folder / "2024-06-01T08-00-00_clinic.txt").write_bytes(b"Epilepsy was found.")
    records = load_records(tmp_path, protocol)
    history = history_at(records, "7", SCAN, protocol)
    assert ["read as Windows-1252" in doubt.issue.message for doubt in records.faults] == [True]
    assert [one.text for one in history.notes] == ["Sjögren."]
    # the note of the day after the scan cannot tell
    assert [value.value for value in history.concepts] == [None]
    assert history.mentions == ()


def test_sections_are_found_where_they_exist() -> None:
    text = "Seen today.\nFAMILY HISTORY\nMother: fits\n\nMeds: dexamethasone\nPlan:\nscan again"
    found = {part.name: text[part.start : part.end].strip() for part in find_sections(text)}
    assert found == {
        "family history": "Mother: fits",
        "medication": "dexamethasone",
        "plan": "scan again",
    }
    assert find_sections("Her history is long. The plan was clear.") == ()


@pytest.mark.parametrize(
    ("sentence", "is_one"),
    [
        ("Page 2 of 3", True),
        ("Electronically signed by the ward", True),
        ("This letter was dictated and is valid without signature.", True),
        ("Allergies: ______", True),
        ("[ ] seizures", True),
        ("[x] seizures", False),
        ("Signed off work for a week.", False),
        ("Seizures: none", False),
        ("Dear me, he said, and had a seizure in front of the whole family at dinner.", False),
    ],
)  # fmt: skip
def test_templates_are_told_from_what_a_clinician_wrote(sentence: str, *, is_one: bool) -> None:
    assert is_template(sentence) is is_one


def test_a_site_can_name_templates_of_its_own() -> None:
    rule = NotesRule(templates=("north wing hospital",))
    assert cleaned("North Wing Hospital, floor 3.\nNo fits.", rule=rule) == ["No fits."]


def test_a_copied_paragraph_keeps_its_first_date() -> None:
    notes = [note(PARAGRAPH, days=30), note(f"Seen again. {PARAGRAPH} Eats well.", days=2)]
    read, issues = clean_notes(notes, NotesRule())
    assert [one.text for one in read] == [PARAGRAPH, "Seen again. Eats well."]
    assert [issue.code for issue in issues] == [IssueCode.NOTES_REPEATED]
    assert issues[0].message.startswith("3 sentences")


def test_a_note_that_is_all_copy_is_not_there_twice() -> None:
    assert cleaned(PARAGRAPH, PARAGRAPH) == [PARAGRAPH]


def test_a_slip_of_the_pen_does_not_hide_a_copy() -> None:
    assert cleaned(PARAGRAPH, PARAGRAPH.replace("street", "stretes")) == [
        PARAGRAPH,
        PARAGRAPH.replace("street", "stretes"),
    ]  # fmt: skip  (two slips in one word: no copy)
    assert cleaned(PARAGRAPH, PARAGRAPH.replace("street", "streeet")) == [PARAGRAPH]


@pytest.mark.parametrize(
    ("was", "now"),
    [("left arm", "right arm"), ("is unchanged", "is not unchanged"), ("a stick", "2 sticks")],
)
def test_another_side_a_denial_or_a_number_is_news(was: str, now: str) -> None:
    changed = PARAGRAPH.replace(was, now)
    kept = cleaned(PARAGRAPH, changed)[1]
    assert now in kept


def test_a_short_sentence_said_again_is_news() -> None:
    assert cleaned("No seizures.", "No seizures.") == ["No seizures.", "No seizures."]


def test_a_very_repetitive_note_is_read_in_time() -> None:
    text = "No fits. Walks well. " * 5_000
    assert len(cleaned(text, text)) == 1


@given(st.lists(st.text(max_size=80), max_size=6))
@settings(max_examples=100, deadline=None)
def test_cleaning_never_adds_and_keeps_the_order(texts: list[str]) -> None:
    for one in cleaned(*texts):
        assert (
            any(word in repair_text(text) for text in texts for word in one.split()[:1])
            or not one.split()
        )


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Seen by Dr. Smith. Eats well.", ["Seen by Dr. Smith.", "Eats well."]),
        ("? stroke. Sent home.", ["? stroke.", "Sent home."]),
        ("Any fits? No.", ["Any fits?", "No."]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("CRP 1.5 mg/L", ["CRP 1.5 mg/L"]),
        ("Sleeps well\nEats well", ["Sleeps well", "Eats well"]),
        (f"{LONG_LINE}\nand ends here. End", [f"{LONG_LINE}\nand ends here.", "End"]),
    ],
)  # fmt: skip
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_sentences_hold_all_but_blanks(text: str) -> None:
    spans = sentence_spans(text)
    held = "".join(text[start:end] for start, end in spans)
    assert "".join(held.split()) == "".join(text.split())
    assert all(a < b <= c < d for (a, b), (c, d) in pairwise(spans))


def test_a_concept_may_not_have_a_columns_name(protocol: Protocol) -> None:
    content = protocol.model_dump(mode="json") | {
        "concepts": [Concept(name="age", words=("old",)).model_dump(mode="json")]
    }
    with pytest.raises(ValueError, match="names must differ"):
        Protocol.model_validate(content)
