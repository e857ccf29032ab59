"""Wrongly decoded text to the text that was meant."""

import re

import ftfy
from ftfy import TextFixerConfig

# Letters are put right; quotes, ligatures and widths keep their form, so that a quoted sentence
# still looks like the note.
_CONFIG = TextFixerConfig(
    unescape_html="auto", uncurl_quotes=False, fix_latin_ligatures=True, explain=False,
    fix_character_width=True, remove_terminal_escapes=True, normalization="NFC",
)  # fmt: skip
_DOUBTFUL = re.compile(r"[^\t\n\x20-\x7e]|&")


def repair_text(text: str) -> str:
    """Undo what a wrong decoding did (``Ã¶`` for ``ö``), HTML entities and control characters.

    Examples
    --------
    >>> repair_text("SjÃ¶gren &amp; uveitis")
    'Sjögren & uveitis'
    """
    if not _DOUBTFUL.search(text):
        return text
    fixed = ftfy.fix_text(text, _CONFIG)
    return fixed.replace("\u00a0", " ").replace("\u00ad", "")
