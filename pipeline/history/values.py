"""The text of one table cell to a typed value, or the reason why not."""

from schemas.column import Column

FLAGS = {
    "1": True, "1.0": True, "true": True, "yes": True, "y": True,
    "0": False, "0.0": False, "false": False, "no": False, "n": False,
}  # fmt: skip
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "unknown"})


def parse_value(text: str, column: Column) -> tuple[float | str | bool | None, str]:
    """Read one cell.

    Returns
    -------
    value
        None if the cell is empty, cannot be read, or is implausible.
    fault
        Empty, or why a cell that holds something gave None.
    """
    if text.lower() in MISSING:
        return None, ""
    if column.kind == "flag":
        flag = FLAGS.get(text.lower())
        return flag, "" if flag is not None else "is neither yes nor no"
    if column.kind == "category":
        known = text in column.categories
        return (text, "") if known else (None, f"is none of {', '.join(column.categories)}")
    return _parse_number(text, column)


def _parse_number(text: str, column: Column) -> tuple[float | None, str]:
    try:
        number = float(text)
    except ValueError:
        return None, "is not a number"
    low, high = column.low, column.high
    if low is None or high is None or not low <= number <= high:
        return None, f"is outside {low:g}..{high:g} {column.unit}".rstrip()
    return number, ""
