"""Where the sentences of a note begin and end."""

import re

WRAPPED_AT = 60
_END = re.compile(r"(?<=[.!?])['\")\]]*\s+|\n\s*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:dr|drs|mr|mrs|ms|prof|st|approx|e\.g|i\.e|eg|ie|vs|cf|resp|incl|fig|max|min)\.$",
    re.IGNORECASE,
)
_QUERY = re.compile(r"(?:^|[\s(])\?$")


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
    before = text[max(start, match.start() - 12) : match.start()]
    if "\n" in match.group():
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        is_wrapped = len(line) >= WRAPPED_AT and not line.rstrip().endswith((".", "!", "?", ":"))
        return is_wrapped and text[match.end() : match.end() + 1].islower()
    return bool(_ABBREVIATION.search(before) or _QUERY.search(before))
