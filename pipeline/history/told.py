"""A history with its notes read: what they say of the protocol's concepts."""

from pipeline.history.concepts import read_concepts
from pipeline.history.notes import clean_notes
from schemas.history import History
from schemas.protocol import Protocol


def with_notes_read(history: History, protocol: Protocol) -> History:
    """Return a history with clean notes, its concepts, and the issues that reading them raised.

    Parameters
    ----------
    history
        Already cut in time: only its own notes are looked at, so nothing later can enter.
    protocol
        Its notes rule and concepts.
    """
    notes, repeats = clean_notes(history.notes, protocol.notes)
    concepts, mentions, doubts = read_concepts(notes, protocol.concepts)
    read = {
        "notes": notes,
        "concepts": concepts,
        "mentions": mentions,
        "issues": (*history.issues, *repeats, *doubts),
    }
    return History(**(dict(history) | read))
