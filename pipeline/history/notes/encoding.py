"""Bytes and wrongly decoded text to the text that was meant."""

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
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def decode_text(content: bytes) -> str:
    """Return the text of a note file in UTF-8, UTF-16 with its mark, or else Windows-1252.

    No byte is lost: what Windows-1252 does not define is read as Latin-1.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


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
