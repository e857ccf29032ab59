"""The text of a number, as laboratories and spreadsheets write it, to a float."""

import re
from typing import NamedTuple

_MARKS = (
    " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\N{FIGURE SPACE}"
    "'\N{RIGHT SINGLE QUOTATION MARK}"
)
_NUMBER = re.compile(
    rf"(?P<limit>[<>]=?|[≤≥])?\s*(?P<sign>[+-])?"
    rf"(?P<digits>[.,]?[0-9](?:[0-9.,{_MARKS}]*[0-9])?[.,]?)(?P<power>[eE][+-]?[0-9]{{1,3}})?"
    r"\s*(?P<unit>[^\s0-9.,<>=+-].*)?"
)  # fmt: skip
_GROUPS = {
    sign: re.compile(rf"[1-9][0-9]{{0,2}}(?:{re.escape(sign)}[0-9]{{3}})+") for sign in (",", ".")
}
_MARKED_GROUPS = re.compile(rf"[1-9][0-9]{{0,2}}([{_MARKS}])[0-9]{{3}}(?:\1[0-9]{{3}})*")
MAX_LENGTH = 80


class Reading(NamedTuple):
    """What a text says: a number, or why it says none."""

    number: float | None
    fault: str = ""
    limit: str = ""
    """`<` or `>` where the number is a detection limit that the value lies beyond."""
    unit: str = ""
    """A unit that stands behind the number."""


NO_NUMBER = Reading(None, "is not a number")
AMBIGUOUS = Reading(
    None, "may have a decimal sign or a thousands separator; say export: decimal in the protocol"
)


def read_number(text: str, decimal: str = "") -> Reading:
    """Read one number.

    Blanks and apostrophes between groups of three digits are thousands separators, and so is a
    comma or point that stands more than once, or before the other. A single comma with three
    digits behind it may be either, and is a fault unless `decimal` is given; a single point is
    the decimal sign unless `decimal` is the comma. ``<0.5`` and ``>300`` are read as 0.5 and 300.

    Parameters
    ----------
    text
        Stripped.
    decimal
        The decimal sign if it is known, else "".
    """
    if len(text) > MAX_LENGTH:
        return NO_NUMBER
    found = _NUMBER.fullmatch(text.replace("\N{MINUS SIGN}", "-"))
    if found is None:
        return NO_NUMBER
    digits = _plain(found["digits"], decimal)
    if digits is None:
        return NO_NUMBER
    if digits == "":
        return AMBIGUOUS
    number = float(f"{found['sign'] or ''}{digits}{found['power'] or ''}")
    limit = (found["limit"] or "").replace("≤", "<").replace("≥", ">")[:1]
    return Reading(number, "", limit, (found["unit"] or "").strip())


def _plain(digits: str, decimal: str) -> str | None:
    """Return digits with a point; "" if they can be read in two ways, None if in no way."""
    points, commas = digits.count("."), digits.count(",")
    if any(mark in digits for mark in _MARKS):
        return _marked(digits, decimal)
    if points and commas:
        return _both(digits, decimal)
    if points + commas > 1:
        return _grouped(digits, "." if points else ",", decimal)
    return _with_comma(digits, decimal) if commas else _with_point(digits, decimal)


def _with_comma(digits: str, decimal: str) -> str | None:
    if _GROUPS[","].fullmatch(digits):
        return {"": "", ".": digits.replace(",", ""), ",": digits.replace(",", ".")}[decimal]
    return None if decimal == "." else digits.replace(",", ".")


def _with_point(digits: str, decimal: str) -> str | None:
    if decimal != "," or "." not in digits:
        return digits
    return digits.replace(".", "") if _GROUPS["."].fullmatch(digits) else None


def _marked(digits: str, decimal: str) -> str | None:
    """Read 1 234,5 or 1'234.5."""
    whole, sign, rest = _split(digits)
    fits = _MARKED_GROUPS.fullmatch(whole) and (not sign or decimal in ("", sign))
    return re.sub(f"[{_MARKS}]", "", whole) + (f".{rest}" if sign else "") if fits else None


def _split(digits: str) -> tuple[str, str, str]:
    place = max(digits.rfind("."), digits.rfind(","))
    return (digits, "", "") if place < 0 else (digits[:place], digits[place], digits[place + 1 :])


def _both(digits: str, decimal: str) -> str | None:
    """Read 1,234.5 or 1.234,5: the sign that stands last is the decimal one."""
    whole, sign, rest = _split(digits)
    other = "," if sign == "." else "."
    fits = decimal in ("", sign) and _GROUPS[other].fullmatch(whole)
    return f"{whole.replace(other, '')}.{rest}" if fits else None


def _grouped(digits: str, sign: str, decimal: str) -> str | None:
    """Read 1,234,567: the sign that stands twice is no decimal one."""
    return digits.replace(sign, "") if decimal != sign and _GROUPS[sign].fullmatch(digits) else None


def shows_decimal_comma(text: str) -> bool:
    """Say whether a text can only be a number whose decimal sign is the comma."""
    if "," not in text or read_number(text).number is None:
        return False
    return read_number(text, ".").number is None


def means_two_numbers(text: str) -> bool:
    """Say whether a text is another number if the decimal sign is the comma: 1.234."""
    usual, other = read_number(text).number, read_number(text, ",").number
    return usual is not None and other is not None and usual != other
