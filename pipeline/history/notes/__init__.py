"""Notes made readable: encoding repaired, sections found, templates and copies left out."""

from pipeline.history.notes.clean import clean_notes
from pipeline.history.notes.repair import repair_text

__all__ = ["clean_notes", "repair_text"]
