from datetime import datetime

import pytest

from pipeline.flags import flags_of
from pipeline.history.notes.sections import find_sections
from pipeline.tensors import FLAGS
from schemas.history import Note


def flagged(text: str) -> list[set[str]]:
    note = Note(
        written_at=datetime(2024, 5, 31), kind="clinic", text=text, sections=find_sections(text)
    )
    return [
        {name for name, holds in zip(FLAGS, row, strict=True) if holds} for row in flags_of([note])
    ]


@pytest.mark.parametrize(
    ("sentence", "flags"),
    [
        pytest.param("Denies headaches.", {"negated"}, id="denied"),
        pytest.param("Weakness: none.", {"negated"}, id="field"),
        pytest.param("The chest does not hurt.", {"negated"}, id="verb"),
        pytest.param("Tumour was ruled out.", {"negated"}, id="after"),
        pytest.param("MRI withuot evidence of tumour.", {"negated"}, id="typing error"),
        pytest.param("No fever but weakness on the left.", {"negated"}, id="one of two clauses"),
        pytest.param("He had a seizure.", set(), id="plain"),
        pytest.param("Does not deny falls.", set(), id="no denial"),
        pytest.param("No, she feels well.", set(), id="answer"),
        pytest.param("Not so.", set(), id="of nothing"),
        pytest.param("The father has epilepsy.", {"someone_else"}, id="relative"),
        pytest.param("The father has no epilepsy.", {"negated", "someone_else"}, id="both"),
        pytest.param("Mother reports that he had a fit.", set(), id="informant"),
        pytest.param("Possible infarction.", {"uncertain"}, id="doubt"),
        pytest.param("Return if fits recur.", {"not_so_yet"}, id="condition"),
        pytest.param("As a child he had fits.", {"past"}, id="childhood"),
    ],
)
def test_a_sentence_has_the_flags_of_what_it_says(sentence: str, flags: set[str]) -> None:
    assert flagged(sentence) == [flags]


def test_each_sentence_has_its_own_flags() -> None:
    assert flagged("No fever. Known epilepsy.\nDenies fits.") == [{"negated"}, set(), {"negated"}]


def test_what_stands_in_a_family_history_is_of_somebody_else() -> None:
    text = "Family history:\nEpilepsy.\nThe patient has asthma.\n\nFINDINGS:\nMeningioma."
    assert flagged(text)[1:] == [{"someone_else"}, set(), set(), set()]


def test_a_denial_far_down_a_sentence_without_end_is_found() -> None:
    assert flagged("stable " * 400 + "and denies fits") == [{"negated"}]
    assert flagged("stable " * 400 + "and has fits") == [set()]
