"""How a site's record files are written, where that cannot be seen from the files alone."""

from typing import Literal

from schemas.base import FrozenModel


class Export(FrozenModel):
    """What a site's csv files mean; empty where the files say it themselves."""

    encoding: Literal["", "utf-8", "utf-16", "windows-1252", "latin-1"] = ""
    """Character encoding; found out if empty."""
    delimiter: Literal["", ",", ";", "\t", "|"] = ""
    """What stands between two cells; found out if empty."""
    decimal: Literal["", ".", ","] = ""
    """The decimal sign. If empty, a number such as 1,234 is a fault: it may be 1.234 or 1234."""
    dates: Literal["", "day-first", "month-first"] = ""
    """Order in dates such as 5/6/2024. If empty, those that could be either are a fault."""
    missing: tuple[str, ...] = ()
    """Further spellings of an empty cell; upper and lower case are the same."""
