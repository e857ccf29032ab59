from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.history.clock import OFFSET, Clock
from pipeline.history.dates import NO_TIME, TWO_ORDERS, read_moment

# Berlin and New York change their clocks as usual, Dublin turns the rule around (its winter time
# is the saving), Sao Paulo changed at midnight, Lord Howe by half an hour, Apia skipped a day.
ZONES = [
    "Europe/Berlin", "America/New_York", "Europe/Dublin", "America/Sao_Paulo",
    "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC",
]  # fmt: skip
SECOND = timedelta(seconds=1)
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(1972, 1, 1), datetime(2037, 12, 31)).map(
    lambda at: at.replace(microsecond=0)
)
offsets = st.integers(-12 * 60, 13 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def counts(clock: Clock, written: str, scan: datetime) -> bool:
    times, faults = clock.of_records(pd.Series([written], dtype="str"))
    assert faults[0] == ""
    return bool(times[0] <= pd.Timestamp(clock.of_scan(scan)))


def written(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def is_midnight(at: datetime) -> bool:
    return at.time() == time(0)


@given(moments, st.integers(-3, 3))
def test_the_cut_is_exact_to_the_second_and_counts_at_equality(at: datetime, seconds: int) -> None:
    record = at + timedelta(seconds=seconds)
    assume(not is_midnight(record))
    assert counts(Clock(), written(record), at) == (seconds <= 0)


@given(moments, offsets, offsets, zones, st.integers(-3, 3))
def test_offsets_of_record_and_scan_do_not_matter(
    at: datetime, one: timezone, two: timezone, zone: ZoneInfo, seconds: int
) -> None:
    scan = at.replace(tzinfo=UTC)
    record = (scan + timedelta(seconds=seconds)).astimezone(one)
    assume(not is_midnight(record))
    assert counts(Clock(zone), written(record), scan.astimezone(two)) == (seconds <= 0)


@given(moments, moments, zones)
@example(datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 27, 1, 30), ZoneInfo("Europe/Berlin"))
@example(datetime(2024, 10, 27, 1, 30), datetime(2024, 10, 27, 0, 30), ZoneInfo("Europe/Dublin"))
def test_a_local_record_that_counts_was_surely_not_made_after_the_scan(
    made: datetime, scanned: datetime, zone: ZoneInfo
) -> None:
    """Both moments are true ones in UTC; the files hold only what the wall clocks showed."""
    made, scanned = made.replace(tzinfo=UTC), scanned.replace(tzinfo=UTC)
    record = made.astimezone(zone).replace(tzinfo=None, fold=0)
    scan = scanned.astimezone(zone).replace(tzinfo=None, fold=0)
    if counts(Clock(zone), written(record), scan):
        assert made <= scanned


@given(st.dates(date(1972, 1, 1), date(2037, 12, 31)), moments, zones, st.integers(0, 86_399))
def test_a_date_that_counts_was_over_before_the_scan_whatever_its_hour(
    day: date, scanned: datetime, zone: ZoneInfo, second: int
) -> None:
    made = datetime.combine(day, time(0)) + timedelta(seconds=second)
    true = made.replace(tzinfo=zone).astimezone(UTC)
    scan = scanned.replace(tzinfo=UTC)
    if counts(Clock(zone), day.isoformat(), scan):
        assert true < scan


@given(moments, zones, st.sampled_from([-1, 0, 1]))
@example(datetime(2024, 3, 31, 2, 30), ZoneInfo("Europe/Berlin"), 0)
@example(datetime(2011, 12, 30, 12, 0), ZoneInfo("Pacific/Apia"), 0)
def test_many_times_are_read_as_one_by_one(at: datetime, zone: ZoneInfo, seconds: int) -> None:
    clock = Clock(zone)
    at = at + timedelta(seconds=seconds)
    assume(not is_midnight(at))
    times, _ = clock.of_records(pd.Series([written(at), at.isoformat()], dtype="str"))
    assert list(times.to_numpy()) == [clock.of_record(at)] * 2


def test_the_repeated_hour_counts_late_for_a_record_and_early_for_a_scan() -> None:
    berlin = Clock(ZoneInfo("Europe/Berlin"))
    twice = datetime(2024, 10, 27, 2, 30)  # 00:30 and 01:30 UTC
    assert berlin.of_record(twice) == np.datetime64("2024-10-27T01:30:00")
    assert berlin.of_scan(twice) == np.datetime64("2024-10-27T00:30:00")
    assert not counts(berlin, "2024-10-27 02:30:00", twice)
    assert counts(berlin, "2024-10-27 02:30:00", twice.replace(tzinfo=timezone(timedelta(hours=1))))


def test_an_hour_that_never_was_counts_late_for_a_record_and_early_for_a_scan() -> None:
    berlin = Clock(ZoneInfo("Europe/Berlin"))
    never = datetime(2024, 3, 31, 2, 30)  # 01:30 UTC by the old offset, 00:30 UTC by the new one
    assert berlin.of_record(never) == np.datetime64("2024-03-31T01:30:00")
    assert berlin.of_scan(never) == np.datetime64("2024-03-31T00:30:00")


@given(moments, zones)
def test_a_moment_is_shown_as_the_site_writes_it(at: datetime, zone: ZoneInfo) -> None:
    shown = Clock(zone).shown(np.datetime64(at, "us"))
    assert shown.astimezone(UTC).replace(tzinfo=None) == at
    assert shown.replace(tzinfo=None) == at.replace(tzinfo=UTC).astimezone(zone).replace(
        tzinfo=None
    )


def test_without_a_zone_an_offset_is_a_fault() -> None:
    texts = pd.Series(["2024-05-31T14:30:00Z", "2024-05-31 14:30 +0200", ""], dtype="str")
    _, faults = Clock().of_records(texts)
    assert list(faults) == [OFFSET, OFFSET, ""]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        pytest.param("2024-05-31", "2024-05-31 23:59:59.999999", id="day"),
        pytest.param("2024-05-31T00:00:00", "2024-05-31 23:59:59.999999", id="midnight is a day"),
        pytest.param("2024-05", "2024-05-31 23:59:59.999999", id="month"),
        pytest.param("2024", "2024-12-31 23:59:59.999999", id="year"),
        pytest.param("2024-05-31T14:30", "2024-05-31 14:30:59.999999", id="minute"),
        pytest.param("2024-05-31T14:30:00,5", "2024-05-31 14:30:00.500000", id="comma"),
        pytest.param("2024-05-31T14:30:00.1234561", "2024-05-31 14:30:00.123457", id="rounded up"),
        pytest.param("20240531", "2024-05-31 23:59:59.999999", id="basic"),
        pytest.param("20240531143000", "2024-05-31 14:30:00", id="basic with time"),
        pytest.param("31.5.2024 14:30:00", "2024-05-31 14:30:00", id="points"),
        pytest.param("5/31/2024 2:30:00 PM", "2024-05-31 14:30:00", id="month first"),
        pytest.param("5/31/2024 12:30:00 AM", "2024-05-31 00:30:00", id="after midnight"),
        pytest.param("5/5/2024", "2024-05-05 23:59:59.999999", id="same either way"),
        pytest.param("31-May-2024", "2024-05-31 23:59:59.999999", id="name"),
        pytest.param("May 31, 2024 14:30:00", "2024-05-31 14:30:00", id="name first"),
        # Excel counts 2024-01-01 as 45292; 31 May is 151 days later. 14:30 is 0.6041666... days.
        pytest.param("45443", "2024-05-31 23:59:59.999999", id="serial day"),
        pytest.param("45443.604166666664", "2024-05-31 14:30:00", id="serial time"),
        # 0.6 to 0.7 days is 14:24 to 16:48.
        pytest.param("45443.6", "2024-05-31 16:47:59.999999", id="coarse serial"),
    ],
)
def test_a_time_is_the_last_moment_that_it_states(text: str, end: str) -> None:
    assert read_moment(text).at == datetime.fromisoformat(end)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("5/6/2024", TWO_ORDERS), ("05.06.2024 10:00", TWO_ORDERS), ("5-6-2024", TWO_ORDERS),
        ("13/13/2024", NO_TIME), ("2024-02-30", NO_TIME), ("31-May-24", NO_TIME),
        ("31.5.24", NO_TIME), ("2024-05-31T14", NO_TIME), ("2024-05-31T24:00:00", NO_TIME),
        ("12345", NO_TIME), ("0001-01-01", NO_TIME), ("9999-12-31", NO_TIME),
        ("2024-05-31T14:30:00+25:00", NO_TIME), ("yesterday", NO_TIME), ("13:00 PM", NO_TIME),
        ("9" * 10_000, NO_TIME),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_known_is_a_fault(text: str, fault: str) -> None:
    assert read_moment(text).fault == fault


def test_the_protocol_says_which_of_two_orders_is_meant() -> None:
    assert read_moment("5/6/2024", "day-first").at == datetime(2024, 6, 5, 23, 59, 59, 999_999)
    assert read_moment("5/6/2024", "month-first").at == datetime(2024, 5, 6, 23, 59, 59, 999_999)
    assert read_moment("5/31/2024", "day-first").at is None


@given(st.text(max_size=40))
def test_no_text_stops_the_reading_of_times(text: str) -> None:
    moment = read_moment(text)
    assert (moment.at is None) == bool(moment.fault)
