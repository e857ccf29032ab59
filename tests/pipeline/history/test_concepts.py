"""What notes say of a protocol's concepts. The wordings are neither the benchmark's nor its."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.history.concepts import extractor_for, read_concepts
from pipeline.history.notes import clean_notes
from schemas.history import ConceptFact, ConceptValue, Note
from schemas.issue import IssueCode, Severity
from schemas.notes_rule import Concept, NotesRule

SCAN = datetime(2024, 5, 31, 14, 30)
CONCEPTS = (
    Concept(
        name="fits",
        past="ignored",
        words=("seizure", "seize", "fit", "epilepsy", "epileptic", "convulsion"),
        but_not=("fit for work",),
    ),
    Concept(name="steroids", kind="drug", words=("steroid", "dexamethasone")),
    Concept(
        name="weakness",
        kind="side",
        words=("weakness", "weak", "hemiparesis", "power ... reduced"),
        opposites=("power ... full",),
    ),
    Concept(
        name="family_cancer", about="family", words=("lung cancer",), wider=("cancer", "malignancy")
    ),
    Concept(name="pack_years", kind="number", words=("pack year",), unit="", low=0, high=200),
    Concept(name="stroke", words=("stroke", "cva"), but_not=("stroke volume",)),
)  # fmt: skip


def note(text: str, days: float = 1.0, kind: str = "clinic") -> Note:
    return Note(written_at=SCAN - timedelta(days=days), kind=kind, text=text)


def values(*notes: Note) -> dict[str, ConceptValue]:
    cleaned, _ = clean_notes(notes, NotesRule())
    return {value.name: value for value in read_concepts(cleaned, CONCEPTS)[0]}


@pytest.mark.parametrize(
    ("concept", "expected", "text"),
    [
        # said, denied before and after, double negation
        ("fits", "present", "She has had two seizures this spring."),
        ("fits", "present", "Seized in the ambulance."),
        ("fits", "absent", "She never had anything like a seizure."),
        ("fits", "absent", "Seizures: none."),
        ("fits", "absent", "Seizures have not occurred."),
        ("fits", "absent", "No headache, vomiting, double vision or fits."),
        ("fits", "absent", "The patient is seizure-free."),
        ("fits", "present", "No headache, but had a seizure in April."),
        ("fits", "present", "No fever, has seizures."),
        ("fits", "present", "He does not deny the seizure."),
        ("fits", "present", "No change in medication since the seizure."),
        # typing errors, capitals, lines
        ("fits", "absent", "No seizuers."),
        ("fits", "absent", "DENIES CONVULSIONS"),
        ("fits", "present", "recurrent epilpetic attacks"),
        ("fits", None, "Fit for work."),
        # relatives and others
        ("fits", None, "Her mother has epilepsy."),
        ("fits", None, "Epilepsy in the mother."),
        ("fits", None, "Family history: epilepsy (brother)."),
        ("fits", None, "FAMILY HISTORY\nEpilepsy\nDiabetes"),
        ("fits", None, "His wife had a seizure."),
        ("fits", "absent", "The mother has epilepsy; the patient has never had a fit."),
        ("fits", "present", "Her mother says that she had a seizure."),
        ("fits", "present", "According to his wife he had a seizure."),
        ("fits", "present", "A seizure was witnessed by his brother."),
        # doubts, conditions, warnings, long ago
        ("fits", None, "Possible seizure."),
        ("fits", None, "Seizures cannot be excluded."),
        ("fits", None, "? seizure"),
        ("fits", None, "If a seizure occurs, call us."),
        ("fits", None, "Warned about the risk of seizures."),
        ("fits", None, "[ ] seizures"),
        ("fits", "present", "[x] seizures"),
        ("fits", None, "Febrile seizures in infancy."),
        ("fits", None, "Had a single seizure in 1990."),
        ("fits", None, "His last seizure was twenty years ago."),
        ("fits", "present", "Epilepsy since childhood."),
        ("fits", "present", "Had a seizure in 2023."),
        ("stroke", "present", "Had a stroke in 1990."),
        ("stroke", None, "Stroke volume 60 ml."),
        # drugs
        ("steroids", "present", "Dexamethasone 4 mg."),
        ("steroids", "present", "Dexamethasone has not been stopped."),
        ("steroids", "present", "Continue dexamethasone and return if fits occur."),
        ("steroids", "present", "Steroids were stopped in May but restarted in June."),
        ("steroids", "stopped", "Dexamethasone was stopped."),
        ("steroids", "absent", "Never took dexamethasone."),
        ("steroids", "absent", "No steroids until the biopsy."),
        ("steroids", "stopped", "Now off steroids."),
        ("steroids", "stopped", "Is no longer on dexamethasone."),
        ("steroids", "absent", "Does not take steroids."),
        ("steroids", "stopped", "Was on steroids until March."),
        ("steroids", "stopped", "Discontinued: dexamethasone."),
        ("steroids", "stopped", "Steroids on hold, not restarted."),
        ("steroids", "present", "There is no plan to stop dexamethasone."),
        ("steroids", "present", "Stopped smoking, takes dexamethasone."),
        ("steroids", None, "Would start dexamethasone if swelling develops."),
        ("steroids", None, "Allergies: dexamethasone"),
        ("steroids", None, "The father takes steroids."),
        # sides
        ("weakness", "left", "Weakness of the left hand."),
        ("weakness", "right", "R arm weakness."),
        ("weakness", "right", "Right-sided hemiparesis."),
        ("weakness", "left", "Power in the left leg is reduced."),
        ("weakness", "left", "No weakness on the right, but weakness on the left."),
        ("weakness", "both", "Bilateral weakness."),
        ("weakness", "both", "Weakness of both legs."),
        ("weakness", "both", "Weakness of the left arm. Weakness of the right leg."),
        ("weakness", "present", "Generalised weakness."),
        ("weakness", "present", "Weakness since he left hospital."),
        ("weakness", "absent", "No weakness of the right arm."),
        ("weakness", "absent", "Power in both arms is not reduced."),
        ("weakness", "absent", "Power is full in all limbs."),
        ("weakness", None, "Power is not full."),
        # about the family
        ("family_cancer", "present", "The father died of lung cancer."),
        ("family_cancer", "present", "His father was found to have lung cancer."),
        ("family_cancer", "absent", "No lung cancer in the family."),
        ("family_cancer", "absent", "No malignancy among relatives."),
        ("family_cancer", None, "The mother had breast cancer."),
        ("family_cancer", None, "Has lung cancer."),
        ("family_cancer", None, "A neighbour had lung cancer."),
        # numbers
        ("pack_years", 30.0, "Smoking: 30 pack-years."),
        ("pack_years", 12.5, "Pack years: 12.5, stopped in 2001."),
        ("pack_years", None, "Pack years unknown."),
        ("pack_years", None, "Pack years 1200."),
    ],
)  # fmt: skip
def test_a_note_says(concept: str, expected: ConceptFact | None, text: str) -> None:
    assert values(note(text))[concept].value == expected


def test_every_concept_has_a_value_and_an_unnamed_one_is_unknown() -> None:
    said = values(note("Sleeps well."))
    assert list(said) == [concept.name for concept in CONCEPTS]
    assert all(value.value is None and value.quote == "" for value in said.values())


def test_a_value_carries_its_sentence_note_and_time() -> None:
    said = values(note("Sleeps well. Denies any seizure. Eats well.", days=3, kind="letter"))[
        "fits"
    ]
    assert (said.quote, said.kind) == ("Denies any seizure.", "letter")
    assert said.written_at == SCAN - timedelta(days=3)
    assert said.contexts == ("negated",)


def test_what_does_not_count_is_still_quoted_with_its_reason() -> None:
    said = values(note("The sister has epilepsy."))["fits"]
    assert (said.value, said.quote) == (None, "The sister has epilepsy.")
    assert said.contexts == ("someone_else",)


def test_mentions_point_at_the_words_in_the_clean_note() -> None:
    notes, _ = clean_notes([note("Page 1 of 2\nNo seizures. Father: epilepsy.")], NotesRule())
    _, mentions, _ = read_concepts(notes, CONCEPTS)
    words = [(notes[m.note].text[m.start : m.end], m.counts) for m in mentions]
    assert words == [("seizures", True), ("epilepsy", False)]


def test_contradicting_notes_are_an_issue_and_the_newest_counts() -> None:
    notes = [note("Had a seizure.", days=30), note("Has never had a seizure.", days=2)]
    concepts, _, issues = read_concepts(notes, CONCEPTS)
    assert concepts[0].value == "absent"
    assert [issue.code for issue in issues] == [IssueCode.CONCEPT_CONTRADICTED]
    assert issues[0].severity is Severity.WARNING
    assert "seizure" not in issues[0].message


def test_a_drug_that_was_stopped_and_is_not_taken_is_no_contradiction() -> None:
    notes = [note("Dexamethasone was stopped.", days=30), note("Not on steroids.", days=2)]
    concepts, _, issues = read_concepts(notes, CONCEPTS)
    assert (concepts[1].value, issues) == ("absent", [])


def test_notes_that_agree_are_no_contradiction() -> None:
    notes = [note("Had a seizure.", days=30), note("Another seizure.", days=2)]
    assert read_concepts(notes, CONCEPTS)[2] == []


def test_a_drug_that_is_stopped_later_is_worth_knowing_and_no_more() -> None:
    notes = [note("On dexamethasone.", days=30), note("Dexamethasone stopped.", days=2)]
    concepts, _, issues = read_concepts(notes, CONCEPTS)
    assert concepts[1].value == "stopped"
    assert [issue.severity for issue in issues] == [Severity.INFO]


def test_a_relatives_newer_note_does_not_hide_the_patients_own() -> None:
    said = values(note("Had a seizure.", days=30), note("The son has epilepsy.", days=2))["fits"]
    assert (said.value, said.quote) == ("present", "Had a seizure.")


def test_a_copied_note_does_not_make_an_old_fact_new() -> None:
    old = (
        "Seen with her husband in the clinic. Continues on dexamethasone 4 mg every single morning."
    )
    notes = (note(old, days=90), note("Dexamethasone was stopped.", days=60), note(old, days=5))
    assert values(*notes)["steroids"].value == "stopped"


def test_words_far_into_a_run_on_sentence_are_found() -> None:
    text = "walks well and " * 400 + "had a seizure and " + "walks well and " * 400
    said = values(note(text))["fits"]
    assert said.value == "present"
    assert "had a seizure" in said.quote
    assert len(said.quote) <= 300


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_read(text: str) -> None:
    notes, _ = clean_notes([note(f"{text} seizure {text}")], NotesRule())
    _, mentions, _ = read_concepts(notes, CONCEPTS)
    for mention in mentions:
        assert notes[mention.note].text[mention.start : mention.end].strip()


def test_the_same_concepts_are_compiled_once() -> None:
    assert extractor_for(CONCEPTS) is extractor_for(tuple(CONCEPTS))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"kind": "number"}, "low and high", id="range"),
        pytest.param({"kind": "number", "low": 3, "high": 2}, "below high", id="order"),
        pytest.param({"low": 3, "high": 4}, "low and high", id="kind"),
        pytest.param({"words": ("Fit",)}, "lower-case", id="case"),
        pytest.param({"words": ("... fit",)}, "between words", id="gap"),
        pytest.param({"but_not": ("",)}, "lower-case", id="empty"),
    ],
)
def test_a_concept_that_cannot_be_looked_for_is_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Concept.model_validate({"name": "c", "words": ("fit",), **fields})
