"""One clock for records and scanner, so that a record counts only if it is surely not later.

With a time zone the clock is UTC, else the site's own local time. A local time that happened twice,
or never, when clocks were changed stands for two moments: a record is taken at the later one, a
scan at the earlier one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipeline.history.dates import Order, read_moment
from schemas.protocol import Protocol

OFFSET = "has a UTC offset, but the protocol names no timezone to compare it with"
_ISO = (
    r"(?:19|20)\d{2}-\d{2}-\d{2}[T ]"
    r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)?"
)
_MIDNIGHT = r"00:00:00(?:\.0+)?(?:Z|[+-]\d{2}:\d{2})?$"


@dataclass(frozen=True, slots=True)
class Clock:
    """Times as text to moments of one clock, and back to what a reader of the site expects.

    Parameters
    ----------
    zone
        Of local times; None if all times are local to one unnamed place.
    order
        How 5/6/2024 is meant; "" if that is not known.
    """

    zone: ZoneInfo | None = None
    order: Order = ""

    @classmethod
    def of(cls, protocol: Protocol) -> "Clock":
        """Return a protocol's clock."""
        zone = ZoneInfo(protocol.timezone) if protocol.timezone else None
        return cls(zone, protocol.export.dates)

    def of_scan(self, at: datetime) -> np.datetime64:
        """Return the earliest moment that an acquisition time may mean, to the microsecond.

        Without a zone an offset is dropped: the scanner's clock is the site's.
        """
        if self.zone is None or at.tzinfo is not None:
            return self._plain(at)
        return min(self._plain(moment) for moment in self._readings(at))

    def of_record(self, at: datetime) -> np.datetime64:
        """Return the latest moment that a record's time may mean, to the microsecond."""
        if self.zone is None or at.tzinfo is not None:
            return self._plain(at)
        return max(self._plain(moment) for moment in self._readings(at))

    def of_records(self, texts: pd.Series) -> tuple[pd.Series, pd.Series]:
        """Read the times of records.

        Parameters
        ----------
        texts
            Stripped text, "" where there is none.

        Returns
        -------
        moments : datetime64[us]
            The latest that each may mean; NaT where there is none or it cannot be read.
        faults
            Why a text was not read, "" where it was or there is none.
        """
        is_iso = texts.str.fullmatch(_ISO) & ~texts.str.contains(_MIDNIGHT, regex=True)
        offset = texts.str.contains(r"(?:Z|[+-]\d{2}:\d{2})$", regex=True)
        moments = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
        faults = pd.Series("", index=texts.index, dtype="str")
        local = is_iso & ~offset
        moments[local] = self._of_locals(
            pd.to_datetime(texts[local], format="ISO8601", errors="coerce")
        )
        if self.zone is not None:
            exact = is_iso & offset
            times = pd.to_datetime(texts[exact], format="ISO8601", errors="coerce", utc=True)
            moments[exact] = times.dt.tz_localize(None)
        self._read_rest(texts, moments, faults)
        return moments, faults

    def shown(self, moment: np.datetime64, *, exact: bool = False) -> datetime:
        """Return a moment as the site writes it: local, with its UTC offset if there is a zone.

        Parameters
        ----------
        exact
            To the microsecond; else the second in which it lies.
        """
        at: datetime = moment.astype("datetime64[us]").item()
        if not exact:
            at = at.replace(microsecond=0)
        if self.zone is None:
            return at
        local = at.replace(tzinfo=UTC).astimezone(self.zone)
        # The offset alone: Python compares two times of one zone by their clocks, not moments.
        return local.replace(tzinfo=timezone(local.utcoffset() or timedelta(0)))

    def _readings(self, at: datetime) -> tuple[datetime, datetime]:
        return (
            at.replace(tzinfo=self.zone, fold=0).astimezone(UTC),
            at.replace(tzinfo=self.zone, fold=1).astimezone(UTC),
        )

    def _plain(self, at: datetime) -> np.datetime64:
        if at.tzinfo is not None:
            at = at.astimezone(UTC) if self.zone is not None else at
            at = at.replace(tzinfo=None)
        return np.datetime64(at, "us")

    def _of_locals(self, times: pd.Series) -> pd.Series:
        """Take local times, all of which exist in the calendar, to the clock."""
        if self.zone is None:
            return times
        unsure = np.zeros(len(times), dtype=bool)
        zoned = times.dt.tz_localize(self.zone, ambiguous=unsure, nonexistent="NaT")
        moments: pd.Series = zoned.dt.tz_convert("UTC").dt.tz_localize(None)
        never = moments.isna() & times.notna()
        for place in np.flatnonzero(never.to_numpy()):
            moment = self.of_record(times.iloc[int(place)].to_pydatetime())
            moments.iloc[int(place)] = pd.Timestamp(moment)
        return moments

    def _read_rest(self, texts: pd.Series, moments: pd.Series, faults: pd.Series) -> None:
        """Read what the fast way left, each text once, into the two series."""
        left = moments.isna() & (texts != "")
        if not left.any():
            return
        read = {text: self._read_one(text) for text in texts[left].unique()}
        faults[left] = texts[left].map({text: fault for text, (_, fault) in read.items()})
        moments[left] = texts[left].map({text: moment for text, (moment, _) in read.items()})

    def _read_one(self, text: str) -> tuple[np.datetime64, str]:
        found = read_moment(text, self.order)
        if found.at is None:
            return np.datetime64("NaT", "us"), found.fault
        if found.at.tzinfo is not None and self.zone is None:
            return np.datetime64("NaT", "us"), OFFSET
        return self.of_record(found.at), ""
