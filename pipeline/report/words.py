"""Values as a reader sees them."""

import re
from datetime import datetime

MINUS = "\u2212"
TIMES = "\u00d7"
THIN = "\u00a0"

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_EXPONENTS = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)


def percent(probability: float) -> str:
    """Return a probability in whole percent, and never as certainty: ``<1 %``, ``>99 %``."""
    if probability < 0.01:
        return f"<1{THIN}%"
    if probability > 0.99:
        return f">99{THIN}%"
    return f"{probability * 100:.0f}{THIN}%"


def signed(value: float) -> str:
    """Return log-odds with their sign and two decimals; what rounds to zero has no sign."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0.0 else text.replace("-", MINUS)


def precise(value: float) -> str:
    """Return a number with three decimals and a real minus."""
    return f"{value:.3f}".replace("-", MINUS)


def scientific(value: float) -> str:
    """Return a positive number with two digits, as a power of ten where it is small or large."""
    if value == 0 or 0.01 <= value < 1000:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}{THIN}{TIMES}{THIN}10{str(int(exponent)).translate(_EXPONENTS)}"


def measured(value: float | str | bool | None, unit: str = "") -> str:
    """Return a table value with its unit; ``missing`` where there is none."""
    match value:
        case None:
            return "missing"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case _:
            return f"{value:.6g}".replace("-", MINUS) + (f"{THIN}{unit}" if unit else "")


def moment(when: datetime | None) -> str:
    """Return a date and time to the minute, with the time zone if it has one."""
    if when is None:
        return "unknown"
    zone = when.strftime("%z")
    return when.strftime("%Y-%m-%d %H:%M") + (f" UTC{zone[:3]}:{zone[3:]}" if zone else "")


def millilitres(ml: float) -> str:
    """Return a volume with one decimal; ``<0.1 ml`` where that would be none."""
    return f"{ml:.1f}{THIN}ml" if ml >= 0.05 else f"<0.1{THIN}ml"


def position(mm: tuple[float, float, float]) -> str:
    """Return LPS coordinates as a reader's directions: ``left 12.0 mm, anterior 3.5 mm, ...``."""
    directions = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
    return ", ".join(
        f"{names[value >= 0]} {abs(value):.1f}{THIN}mm"
        for value, names in zip(mm, directions, strict=True)
    )


def coordinates(mm: tuple[float, float, float]) -> str:
    """Return coordinates in mm as numbers: ``12.0, -3.5, 40.0 mm``, with a real minus."""
    return ", ".join(f"{value:.1f}" for value in mm).replace("-", MINUS) + f"{THIN}mm"


def short(text: str, limit: int = 400) -> str:
    """Return a text cut with an ellipsis at ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\u2026"


def seen(text: str) -> str:
    """Replace characters that hide or reorder others: controls and bidirectional overrides."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)
