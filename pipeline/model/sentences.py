"""Where the sentences of a note begin and end."""

import re

_END = re.compile(r"(?<=[.!?])\s+|\n+")


def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return (start, end) character offsets of sentences; together they hold all but blanks.

    Examples
    --------
    >>> sentence_spans("No fever. Denies fits.")
    ((0, 9), (10, 22))
    """
    spans, start = [], 0
    for match in (*_END.finditer(text), None):
        end = match.start() if match else len(text)
        if text[start:end].strip():
            spans.append((start, end))
        start = match.end() if match else end
    return tuple(spans)
