"""Times as sources write them: whole or partial, with or without an offset."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, tzinfo

EARLIEST_YEAR, LATEST_YEAR = 1800, 2200
_FORM = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-\d{2}"
    r"(?P<clock>T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?)?)?",
    re.ASCII,
)


def end_of_stated(text: str) -> str:
    """Return the last day of a year or a month, and a day or a time as it is.

    A day stays a day: what its end is, is for whoever compares times to say.

    Raises
    ------
    ValueError
        If it is no ISO 8601 year, month, day or time between 1800 and 2200.
    """
    form = _FORM.fullmatch(text.strip().replace(" ", "T"))
    if form is None:
        msg = "not a date or time such as 2024-05-31 or 2024-05-31T14:30:00+02:00"
        raise ValueError(msg)
    whole = form[0]
    if form["month"] is None:
        whole += "-12"
    try:
        if len(whole) == len("2024-05"):
            whole += f"-{monthrange(int(whole[:4]), int(whole[5:]))[1]}"
        instant(whole)
    except ValueError as error:
        msg = "no such day or time"
        raise ValueError(msg) from error
    if not EARLIEST_YEAR <= int(form["year"]) <= LATEST_YEAR:
        msg = f"a year outside {EARLIEST_YEAR}..{LATEST_YEAR}"
        raise ValueError(msg)
    return whole


def instant(text: str, zone: tzinfo = UTC) -> datetime:
    """Return a moment that can be compared with others of one source; a day is its end.

    Parameters
    ----------
    zone
        Of a text without an offset. It orders the records of a source among each other and is
        never part of a record.
    """
    if len(text) == len("2024-05-31"):
        return datetime.combine(date.fromisoformat(text), time.max, tzinfo=zone)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def later(first: str, second: str) -> str:
    """Return the later of two times, the known one of two of which one is "", else "".

    Of a day and a time of that same day the day counts, since it may mean its last moment.
    """
    if not first or not second:
        return first or second
    zones = [datetime.fromisoformat(text).tzinfo for text in (first, second)]
    zone = zones[0] or zones[1] or UTC
    return max(first, second, key=lambda text: instant(text, zone))
