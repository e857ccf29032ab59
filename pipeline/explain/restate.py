"""A fact as one plain sentence: what a note would say if it said otherwise."""

from schemas.notes_rule import Concept

Fact = float | str | bool


def restated(concept: Concept, fact: Fact) -> str | None:
    """Return a sentence that says a fact by the first of the concept's words that is one phrase.

    Written from the protocol's words alone, so that nothing of the patient's notes is in it.

    Returns
    -------
    str or None
        None if every one of its words has a gap, ``...``.

    Examples
    --------
    >>> restated(Concept(name="fits", words=("seizure",)), "absent")
    'No seizure.'
    >>> restated(Concept(name="weakness", kind="side", words=("weakness",)), "left")
    'Weakness on the left.'
    """
    word = next((word for word in concept.words if "..." not in word), None)
    if word is None:
        return None
    said = _said(concept, fact, f"family history of {word}" if _of_family(concept) else word)
    return said[0].upper() + said[1:]


def _of_family(concept: Concept) -> bool:
    return concept.about == "family"


def _said(concept: Concept, fact: Fact, name: str) -> str:
    if concept.kind == "number":
        return f"{name} {float(fact):g} {concept.unit}".rstrip() + "."
    if concept.kind == "drug" and fact == "present":
        return f"takes {name}."
    match fact:
        case "absent":
            return f"no {name}."
        case "stopped":
            return f"{name} was stopped."
        case "left" | "right":
            return f"{name} on the {fact}."
        case _:
            return f"{name}."
