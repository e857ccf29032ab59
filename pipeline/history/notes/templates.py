"""Sentences that a form, a letterhead or a program wrote, not a clinician."""

import re

MAX_TEMPLATE = 400
_BOILERPLATE = re.compile(
    r"""
      ^\W*page\s+\d+(\s*(of|/)\s*\d+)?\W*$
    | \belectronically\s+(signed|authori[sz]ed|verified|approved)\b
    | ^\W*(signed|dictated|typed|transcribed|authori[sz]ed|verified|printed|cc)(\s+(by|on|at)\b|:)
    | \bthis\s+(e-?mail|letter|document|report|message|note)\b.*\b(confidential|intended\s+only
        |automatically|dictated|generated|without\s+signature|copy|copied)
    | ^\W*(dear|yours\s+(sincerely|faithfully)|(kind|best|warm)\s+regards|sincerely)\b.{0,40}$
    | ^\W*(end\s+of\s+(report|note|letter)|copy\s+to|distribution)\b
    | ^\s*(\[\s*\]|\(\s*\)|☐|□|▢)          # a box that was not ticked
    | ^[^:]{1,60}:\s*[_.\-…]{3,}\W*$          # a field that was not filled in
    | ^[\W_]*$
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_template(sentence: str, phrases: tuple[str, ...] = ()) -> bool:
    """Say whether a sentence is boilerplate, an empty field or an unticked box.

    Parameters
    ----------
    phrases
        The site's own; compared without case.

    Examples
    --------
    >>> is_template("[ ] seizures"), is_template("[x] seizures")
    (True, False)
    """
    lowered = sentence.casefold()
    if any(phrase.casefold() in lowered for phrase in phrases):
        return True
    return len(sentence) <= MAX_TEMPLATE and bool(_BOILERPLATE.search(sentence))
