"""What is planted in the records to catch a careless reader; each is counted in traps.csv."""

from enum import StrEnum


class Trap(StrEnum):
    """One kind of trap; the docstring of each says what a careful reader does."""

    FUTURE = "future"
    """Made hours to months after the scan and states the outcome: not read."""
    MINUTES_AFTER = "minutes_after"
    """Made seconds to minutes after the scan and states the outcome: not read."""
    DAY_ONLY = "day_only"
    """Dated with the day of the scan and no time, and states the outcome: not read, since it may
    be later than the scan."""
    AT_THE_SCAN = "at_the_scan"
    """Made in the second of the scan: read."""
    TOO_OLD = "too_old"
    """Made before any look-back reaches, and untrue by now: not read."""
    UNIT_STATED = "unit_stated"
    """Holds a number in another unit and says which: read and converted."""
    UNIT_UNSTATED = "unit_unstated"
    """Holds a number in another unit and does not say so: set missing, as implausible."""
    OUTDATED = "outdated"
    """States what a newer note contradicts: the newer note holds."""
    COPIED_FORWARD = "copied_forward"
    """Repeats the whole of an older note: read once."""
    ANOTHER_PERSON = "another_person"
    """Speaks of a relative, or of something that only sounds like the topic: no fact."""
    LOOKALIKE_ID = "lookalike_id"
    """Belongs to somebody whose ID differs in case or in zeros alone: not read."""
    SHARED_ID = "shared_id"
    """Belongs to somebody else of the other sex and another age who was given the same ID: no
    result."""
