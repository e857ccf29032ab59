"""The notes of one simulated patient."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pipeline.phantom.patient import Design, Patient
from pipeline.phantom.rows import at
from pipeline.phantom.traps import Trap
from pipeline.phantom.world import Language, Topic

TYPO_SHARE = 0.30
SECTIONS_SHARE = 0.50
COPY_SHARE = 0.20
OUTDATED_SHARE = 0.25
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class WrittenNote:
    """One note."""

    written_at: datetime
    """When."""
    kind: str
    """Referral, clinic or discharge."""
    text: str
    """The whole note."""
    traps: tuple[Trap, ...] = ()
    """What it is planted for."""


@dataclass(slots=True)
class _Draft:
    """A note in the making: sentences by section."""

    sentences: list[tuple[str, str]]
    traps: set[Trap]

    def say(self, section: str, sentence: str, *traps: Trap) -> None:
        self.sentences.append((section, sentence))
        self.traps.update(traps)


def notes_before(rng: np.random.Generator, design: Design, patient: Patient) -> list[WrittenNote]:
    """Write one to four notes, oldest first; none if the patient has no notes.

    A topic that is seen is told in one note, sometimes in two. Where a topic may change, an older
    note may tell another status; then the newest that speaks of it tells the truth.
    """
    if not patient.has_notes:
        return []
    language = design.world.language[design.family]
    drafts = [_Draft([], set()) for _ in range(int(rng.integers(1, 5)))]
    for topic in design.world.topics:
        if topic.name in patient.seen:
            _tell(rng, design, topic, patient.statuses[topic.name], drafts)
        if rng.random() < topic.distracted:
            draft = drafts[int(rng.integers(len(drafts)))]
            sentence = _phrase(rng, topic.distractors[design.family], language)
            draft.say("family", sentence, Trap.ANOTHER_PERSON)
    days = [*sorted(-rng.uniform(21.0, 800.0, len(drafts) - 1)), -rng.uniform(0.05, 20.0)]
    kinds = [*rng.choice(["clinic", "discharge", "clinic"], len(drafts) - 1), "referral"]
    notes: list[WrittenNote] = []
    for draft, kind, day in zip(drafts, kinds, days, strict=True):
        text = _text(rng, language, patient, str(kind), draft)
        if notes and Trap.OUTDATED not in notes[-1].traps and rng.random() < COPY_SHARE:
            text = f"{notes[-1].text}\n{text}"
            draft.traps |= {Trap.COPIED_FORWARD, *notes[-1].traps}
        traps = tuple(sorted(draft.traps))
        notes.append(WrittenNote(at(patient, float(day)), str(kind), text, traps))
    return notes


def _tell(
    rng: np.random.Generator, design: Design, topic: Topic, status: str, drafts: list[_Draft]
) -> None:
    language = design.world.language[design.family]
    phrases = {item.name: item.phrases[design.family] for item in topic.statuses}
    newest = int(rng.integers(len(drafts)))
    drafts[newest].say(topic.section, _phrase(rng, phrases[status], language))
    if newest == 0 or not rng.random() < OUTDATED_SHARE:
        return
    older = drafts[int(rng.integers(newest))]
    others = [name for name in phrases if name != status and phrases[name]]
    if topic.may_change and rng.random() < 0.5:
        outdated = phrases[str(rng.choice(others))]
        older.say(topic.section, _phrase(rng, outdated, language), Trap.OUTDATED)
    else:
        older.say(topic.section, _phrase(rng, phrases[status], language))


def _phrase(rng: np.random.Generator, templates: Sequence[str], language: Language) -> str:
    """Fill a template's slots and begin with a capital letter."""
    template = templates[int(rng.integers(len(templates)))]

    def fill(match: re.Match[str]) -> str:
        words = language.slots[match.group(1)]
        return words[int(rng.integers(len(words)))]

    sentence = _SLOT.sub(fill, template)
    return sentence[0].upper() + sentence[1:]


def _text(
    rng: np.random.Generator, language: Language, patient: Patient, kind: str, draft: _Draft
) -> str:
    for index in rng.permutation(len(language.small_talk))[: int(rng.integers(1, 4))]:
        draft.say("social", _phrase(rng, [language.small_talk[int(index)]], language))
    opening = language.openings[kind][int(rng.integers(len(language.openings[kind])))]
    opening = opening.replace("{person}", "woman" if patient.sex == "F" else "man")
    shuffled = [draft.sentences[int(place)] for place in rng.permutation(len(draft.sentences))]
    if rng.random() < SECTIONS_SHARE:
        text = "\n".join([opening, *_sections(language.headings, shuffled)])
    else:
        text = " ".join([opening, *(sentence for _, sentence in shuffled)])
    return _with_typos(rng, text) if rng.random() < TYPO_SHARE else text


def _sections(headings: Mapping[str, str], told: Sequence[tuple[str, str]]) -> list[str]:
    """Put sentences under their headings."""
    lines = []
    for section, heading in headings.items():
        mine = [sentence for name, sentence in told if name == section]
        if mine:
            lines.append(f"{heading}: {' '.join(mine)}")
    return lines


def _with_typos(rng: np.random.Generator, text: str) -> str:
    """Swap, drop or double a letter inside one to three longer words."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    for place in rng.permutation(long)[: int(rng.integers(1, 4))]:
        word = words[int(place)]
        cut, kind = int(rng.integers(1, len(word) - 2)), int(rng.integers(3))
        swapped = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
        dropped, doubled = word[:cut] + word[cut + 1 :], word[:cut] + word[cut] + word[cut:]
        words[int(place)] = (swapped, dropped, doubled)[kind]
    return " ".join(words)


def note_after(
    rng: np.random.Generator, design: Design, patient: Patient, days: float, trap: Trap
) -> WrittenNote:
    """Write a note that gives the outcome of every task away."""
    said = [
        str(rng.choice(risk.outcome_notes[0 if patient.outcomes[risk.task] else 1]))
        for risk in design.world.risks
    ]
    return WrittenNote(at(patient, days), "clinic", " ".join(said), (trap,))
