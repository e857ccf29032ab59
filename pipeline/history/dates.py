"""The text of a time, as record systems and spreadsheets write it, to the last moment it states.

A date alone is the end of that day, a month the end of that month, a time without seconds the end
of that minute: what says only the day of the scan may have been made after it, so it must not
count as earlier. Exactly midnight is a date alone, since that is how databases write one.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal, NamedTuple

FIRST_YEAR, LAST_YEAR = 1850, 2200
EXCEL_DAYS = range(20_000, 80_000)
"""Serial dates of Excel's 1900 system from October 1954 to January 2119."""
EXCEL_ZERO = datetime(1899, 12, 30)
MAX_LENGTH = 64
Order = Literal["", "day-first", "month-first"]
_OPEN = -1
_TICK = timedelta(microseconds=1)
_CLOCK = (
    r"(?:(?:[T ]|, ?)\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?P<offset>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR, _DAY = r"(?P<year>\d{4})", r"(?P<day>\d{1,2})"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"{_YEAR}(?:-(?P<month>\d{{2}})(?:-(?P<day>\d{{2}}){_CLOCK})?)?",
        rf"{_YEAR}/(?P<month>\d{{1,2}})/{_DAY}{_CLOCK}",
        rf"(?P<one>\d{{1,2}})(?P<sign>[./-])(?P<two>\d{{1,2}})(?P=sign){_YEAR}{_CLOCK}",
        rf"{_DAY}[ -]{_MONTH}[ -]{_YEAR}{_CLOCK}",
        rf"{_MONTH} {_DAY}(?:st|[nr]d|th)?,? {_YEAR}{_CLOCK}",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
        r"(?:(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:\.(?P<fraction>\d{1,6}))?)?)?",
    )
)
_SERIAL = re.compile(r"(?P<days>\d{5})(?:\.(?P<part>\d{1,15}))?", re.ASCII)
NO_TIME = "is not a time that can be read; write 2024-05-31T14:30:00"
TWO_ORDERS = "may be day/month or month/day; say export: dates in the protocol, or write 2024-05-31"


class Moment(NamedTuple):
    """The last moment that a text states, or why it states none."""

    at: datetime | None
    """Aware if the text has a UTC offset, else local."""
    fault: str = ""


def read_moment(text: str, order: Order = "") -> Moment:
    """Read one time.

    Parameters
    ----------
    text
        Stripped and not empty: ISO 8601, whole or to the day, month or year; 20240531; Excel's
        serial date; 31.5.2024, 31/05/2024, 5/31/2024 with or without a time; 31-May-2024.
    order
        How 5/6/2024 is meant; "" makes it a fault unless one of the two is above 12 or both are
        the same.
    """
    if len(text) > MAX_LENGTH:
        return Moment(None, NO_TIME)
    serial = _SERIAL.fullmatch(text)
    if serial is not None:
        return _from_serial(int(serial["days"]), serial["part"] or "")
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        return Moment(None, NO_TIME)
    parts = found.groupdict()
    month, day = _month_and_day(parts, order)
    if month == _OPEN:
        return Moment(None, TWO_ORDERS)
    try:
        return Moment(_end(int(parts["year"]), month, day, parts))
    except (ValueError, OverflowError):
        return Moment(None, NO_TIME)


def _month_and_day(parts: dict[str, str | None], order: str) -> tuple[int | None, int | None]:
    """Return month and day as far as stated; `_OPEN` if they cannot be told apart."""
    if parts.get("name"):
        return _MONTHS.index(str(parts["name"])[:3].lower()) + 1, int(parts["day"] or 0)
    if parts.get("one") is None:
        return (
            int(parts["month"] or 0) if parts.get("month") else None,
            int(parts["day"] or 0) if parts.get("day") else None,
        )
    one, two = int(parts["one"] or 0), int(parts["two"] or 0)
    is_open = order == "" and one != two and min(one, two) >= 1 and max(one, two) <= 12
    if is_open:
        return _OPEN, _OPEN
    day_first = order == "day-first" or (order == "" and one > 12)
    return (two, one) if day_first else (one, two)


def _end(year: int, month: int | None, day: int | None, parts: dict[str, str | None]) -> datetime:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(year)
    if month is None:
        return datetime(year, 12, 31, 23, 59, 59, 999_999)
    if day is None:
        return datetime(year, month, monthrange(year, month)[1], 23, 59, 59, 999_999)
    zone = _zone(parts.get("offset"))
    moment = datetime(year, month, day, tzinfo=zone)
    if parts.get("hour") is None:
        return moment + timedelta(days=1) - _TICK
    clock, resolution = _clock(parts)
    if clock == timedelta(0):
        return moment + timedelta(days=1) - _TICK
    is_to_the_minute = resolution > timedelta(seconds=1)
    return moment + clock + (resolution - _TICK if is_to_the_minute else timedelta(0))


def _clock(parts: dict[str, str | None]) -> tuple[timedelta, timedelta]:
    """Return the time of the day and how fine it is stated."""
    hour, minute = int(parts["hour"] or 0), int(parts["minute"] or 0)
    half = (parts.get("half") or "")[:1].lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half == "p" else 0)
    second = parts.get("second")
    if not (hour < 24 and minute < 60 and int(second or 0) < 60):
        raise ValueError(hour, minute, second)
    fraction = (parts.get("fraction") or "").ljust(6, "0")
    micro = int(fraction[:6]) + bool(fraction[6:].strip("0"))
    clock = timedelta(hours=hour, minutes=minute, seconds=int(second or 0), microseconds=micro)
    return clock, timedelta(minutes=1) if second is None else timedelta(seconds=1)


def _zone(offset: str | None) -> timezone | None:
    if not offset:
        return None
    if offset[0] not in "+-":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if not (hours <= 14 and minutes < 60):
        raise ValueError(offset)
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


def _from_serial(days: int, part: str) -> Moment:
    """Read Excel's days since its year 1900; the fraction is the time, as fine as it is written."""
    if days not in EXCEL_DAYS:
        return Moment(None, NO_TIME)
    moment = EXCEL_ZERO + timedelta(days=days)
    if not part.strip("0"):
        return Moment(moment + timedelta(days=1) - _TICK)
    if len(part) >= 6:  # A second is 0.0000116 days.
        return Moment(moment + timedelta(seconds=round(float(f"0.{part}") * 86_400)))
    end = (int(part) + 1) / 10 ** len(part)
    return Moment(moment + timedelta(days=end) - _TICK)
