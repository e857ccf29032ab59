"""The parts of a note that stand under a heading."""

import re
from collections.abc import Mapping

from schemas.history import NoteSection, SectionName

_HEADINGS: Mapping[SectionName, tuple[str, ...]] = {
    "history": (
        "history", "hx", "hpi", "hpc", "history of present illness", "presenting complaint",
        "history of presenting complaint", "chief complaint", "clinical history", "complaints",
        "subjective", "indication", "reason for referral", "clinical details",
    ),
    "past history": (
        "past history", "past medical history", "pmh", "pmhx", "medical history",
        "previous history", "past surgical history", "comorbidities", "previous illnesses",
        "background",
    ),
    "medication": (
        "medication", "medications", "meds", "current medication", "current medications", "drugs",
        "drug history", "dh", "dhx", "treatment", "current treatment", "discharge medication",
        "discharge medications", "medication on discharge", "medication on admission",
    ),
    "allergies": ("allergies", "allergy", "drug allergies", "adverse reactions", "intolerances"),
    "family history": ("family history", "fh", "fhx", "fam hx", "family hx"),
    "social history": ("social history", "sh", "shx", "social", "occupation", "habits"),
    "examination": (
        "examination", "on examination", "exam", "physical examination", "o/e", "objective",
        "neurological examination", "vital signs", "observations",
    ),
    "findings": ("findings", "results", "investigations", "imaging", "laboratory", "labs"),
    "impression": (
        "impression", "conclusion", "assessment", "diagnosis", "diagnoses", "summary", "opinion",
    ),
    "plan": (
        "plan", "recommendation", "recommendations", "procedure", "follow-up", "follow up",
        "assessment and plan", "management",
    ),
}  # fmt: skip
_NAMES = {heading: name for name, headings in _HEADINGS.items() for heading in headings}
_LONGEST = max(map(len, _NAMES))
_LINE = re.compile(r"^[ \t#*>\-\d.)]*([A-Za-z][A-Za-z /\-]{0,40}?)[ \t*]{0,8}(:|$)", re.MULTILINE)


def find_sections(text: str) -> tuple[NoteSection, ...]:
    """Return the parts below headings that stand at the start of a line.

    A heading with a colon and words behind it rules its own line, and those below it that have no
    heading until a blank one; a heading alone on its line, with a colon or in capitals, rules
    until the next heading.

    Examples
    --------
    >>> find_sections("Family history: father had fits.")[0].name
    'family history'
    """
    found = []
    for match in _LINE.finditer(text):
        words, colon = match[1], match[2]
        name = _NAMES.get(words.lower()) if len(words) <= _LONGEST else None
        if name and (colon or words.isupper()):
            found.append((match.start(), match.end(), name))
    ends = [*(start for start, _, _ in found[1:]), len(text)][: len(found)]
    return tuple(
        NoteSection(name=name, start=begin, end=_end(text, begin, end))
        for (_, begin, name), end in zip(found, ends, strict=True)
    )


def _end(text: str, begin: int, end: int) -> int:
    line_end = text.find("\n", begin)
    has_words = text[begin : line_end if line_end >= 0 else end].strip()
    blank = text.find("\n\n", begin, end)
    if has_words and blank >= 0:
        return blank
    return line_end if has_words and 0 <= line_end < end else end


def section_at(sections: tuple[NoteSection, ...], place: int) -> str:
    """Return the name of the section that holds a character; empty if none does."""
    return next((part.name for part in sections if part.start <= place < part.end), "")
