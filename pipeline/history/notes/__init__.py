"""Notes made readable: encoding repaired, sections found, templates and copies left out."""

from pipeline.history.notes.clean import clean_notes
from pipeline.history.notes.encoding import decode_text, repair_text

__all__ = ["clean_notes", "decode_text", "repair_text"]
