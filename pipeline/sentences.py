"""Where the sentences of a note begin and end."""

import re

WRAPPED_AT = 60
_END = re.compile(r"(?<=[.!?])['\")\]]*\s+|\n\s*")
_ABBREVIATIONS = frozenset({
    "dr", "drs", "mr", "mrs", "ms", "prof", "st", "approx", "e.g", "i.e", "eg", "ie", "vs", "cf",
    "resp", "incl", "fig",
})  # fmt: skip
_LONGEST = max(map(len, _ABBREVIATIONS))


def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return (start, end) character offsets of sentences; together they hold all but blanks.

    A line break ends a sentence, save one inside a paragraph that was wrapped at a fixed width. A
    question mark that stands before a word (``? seizure``) is a doubt, not an end.

    Examples
    --------
    >>> sentence_spans("No fever. Denies fits.")
    ((0, 9), (10, 22))
    """
    spans, start = [], 0
    for match in _END.finditer(text):
        if _goes_on(text, start, match):
            continue
        end = match.start() + len(match.group().rstrip())  # with the quotes that close it
        if text[start:end].strip():
            spans.append((start, start + len(text[start:end].rstrip())))
        start = match.end()
    if text[start:].strip():
        spans.append((start, len(text)))
    return tuple(spans)


def _goes_on(text: str, start: int, match: re.Match[str]) -> bool:
    last = match.start() - 1
    if match.group()[0] in ")]" and text[match.end() : match.end() + 1].islower():
        return True
    if match.group()[0] == "\n" and text[last] not in "?.":
        return _is_wrapped(text, match)
    if text[last] == "?":
        return "\n" not in match.group() and (last <= start or text[last - 1] in " (\t\n")
    if text[last] != ".":
        return False
    word = text[max(start, last - _LONGEST - 1) : last].replace("(", " ").rpartition(" ")[2]
    return word.lower() in _ABBREVIATIONS


def _is_wrapped(text: str, match: re.Match[str]) -> bool:
    """Say whether a line break only ends a line of fixed width."""
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].rstrip()
    is_long = len(line) >= WRAPPED_AT and line[-1] not in ".!?:"
    return is_long and text[match.end() : match.end() + 1].islower()
