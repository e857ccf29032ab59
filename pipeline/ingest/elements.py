"""Single values out of a header that may hold anything."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_BAD_VALUE = (
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    LookupError,
    NotImplementedError,  # pydicom's for a value representation that it does not know
)
_LARGEST_MM = 1e5
MOMENT_KEYWORDS = (
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "TimezoneOffsetFromUTC"),
    *("SeriesDate", "SeriesTime", "StudyDate", "StudyTime"),
)
"""What ``acquired_at`` reads."""
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})$")
_OFFSET_MINUTES = (-12 * 60, 14 * 60)


@dataclass(frozen=True, slots=True)
class Moment:
    """When an image was acquired, as far as its header says."""

    at: datetime
    """In the scanner's local time."""
    is_day_only: bool
    """Whether only the day is known; ``at`` is then its start."""
    utc_offset_minutes: int | None
    """What the local time is ahead of UTC; None if the header does not say."""


_KEPT_VALUES = 20_000
_KEPT_BYTES = 256
_USUAL_ENCODINGS = (default_encoding,)
_PLAIN_TEXT = re.compile(rb"[ -\[\]-~]*\0*")
"""One value of printable ASCII, which means the same to pydicom."""
_PLAIN_TEXT_VRS = {"CS", "DA", "LO", "SH", "TM", "UI"}
_PLAIN_NUMBER = rb" *[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)? *"
_PLAIN_NUMBERS = re.compile(rb"%b(?:\\%b)*" % (_PLAIN_NUMBER, _PLAIN_NUMBER))


# What a value depends on: tag, representation, implicit, little endian, bytes, character sets.
_Key = tuple[BaseTag, str | None, bool, bool, bytes, tuple[str, ...]]


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of a keyword, always the same object: equal tags are slow to compare."""
    return tag_of_number(int(Tag(keyword)))


@lru_cache(maxsize=_KEPT_VALUES)
def tag_of_number(number: int) -> BaseTag:
    """Return the same object for the number of a tag."""
    return BaseTag(number)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element, None if it is absent, empty or cannot be converted."""
    key = _key_of(dataset, keyword)
    if key is not None:
        return _kept_value(key)
    tag = tag_of(keyword)
    if tag not in dataset:
        return None
    try:
        value = dataset[tag].value
    except _BAD_VALUE:
        return None
    return None if value is None or value == "" else value


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return a value as stripped text; several values are joined by a backslash.

    What cannot be printed becomes a space, or a question mark where it is no Unicode.
    """
    key = _key_of(dataset, keyword)
    return _as_text(value_of(dataset, keyword)) if key is None else _kept_text(key)


def text_of_bytes(tag: BaseTag, vr: str | None, content: bytes) -> str:
    """Return the text of an element that lies in no dataset, such as a UID.

    Parameters
    ----------
    tag
        One that ``tag_of`` gives.
    vr
        None if it is implicit.
    content
        Little endian, and in the default character set if that matters.
    """
    text = _plain_text(tag, vr, content)
    key = (tag, vr, vr is None, True, content, _USUAL_ENCODINGS)
    return _kept_text(key) if text is None else text


def _key_of(dataset: Dataset, keyword: str) -> _Key | None:
    """Say what a small value depends on, None if it may depend on other elements."""
    raw = dataset.get_item(tag_of(keyword))
    if not isinstance(raw, RawDataElement) or raw.value is None or len(raw.value) > _KEPT_BYTES:
        return None
    charset = dataset.original_character_set
    if not charset or not _is_plain(raw.tag):
        return None
    encodings = (charset,) if isinstance(charset, str) else tuple(charset)
    return raw.tag, raw.VR, raw.is_implicit_VR, raw.is_little_endian, raw.value, encodings


@cache
def _is_plain(tag: BaseTag) -> bool:
    vr = _dictionary_vr(tag)
    return len(vr) == 2 and vr not in ("SQ", "UN")


@cache
def _dictionary_vr(tag: BaseTag) -> str:
    return dictionary_VR(tag) if dictionary_has_tag(tag) else ""


@lru_cache(maxsize=_KEPT_VALUES)
def _kept_value(key: _Key) -> Any:
    """Convert an element's bytes; most elements of a series' files are the same bytes."""
    tag, vr, is_implicit, is_little, content, encodings = key
    raw = RawDataElement(tag, vr, len(content), content, 0, is_implicit, is_little)
    try:
        value = convert_raw_data_element(raw, encoding=[*encodings]).value
    except _BAD_VALUE:
        return None
    return None if value is None or value == "" else value


@lru_cache(maxsize=_KEPT_VALUES)
def _kept_text(key: _Key) -> str:
    tag, vr, _, _, content, encodings = key
    text = _plain_text(tag, vr, content) if encodings == _USUAL_ENCODINGS else None
    return _as_text(_kept_value(key)) if text is None else text


def _plain_text(tag: BaseTag, vr: str | None, content: bytes) -> str | None:
    """Convert as pydicom would, in a tenth of the time; None if that is not certain."""
    if (vr or _dictionary_vr(tag)) in _PLAIN_TEXT_VRS and _PLAIN_TEXT.fullmatch(content):
        return content.decode("ascii").strip(" \0")
    return None


@lru_cache(maxsize=_KEPT_VALUES)
def _kept_numbers(key: _Key) -> tuple[float, ...]:
    tag, vr, _, _, content, _ = key
    if (vr or _dictionary_vr(tag)) == "DS" and _PLAIN_NUMBERS.fullmatch(content):
        return _as_numbers(content.decode("ascii").split("\\"))
    return _as_numbers(_kept_value(key))


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    items = value if _is_several(value) else (value,)
    text = "\\".join(str(item).strip(" \0") for item in items)
    if text.isprintable():
        return text
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def _as_numbers(value: Any) -> tuple[float, ...]:
    """Return all values as numbers, none if one of them is no finite number."""
    items = value if _is_several(value) else (value,)
    try:
        numbers = tuple(float(item) for item in items)
    except _BAD_VALUE:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def words_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a Code String in upper case."""
    text = text_of(dataset, keyword)
    return tuple(word.strip().upper() for word in text.split("\\")) if text else ()


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """Return one finite number, None if there is none."""
    numbers = numbers_of(dataset, keyword, 1)
    return numbers[0] if numbers else None


def count_of(dataset: Dataset, keyword: str) -> int:
    """Return one whole number of at least 0; 0 if there is none."""
    number = number_of(dataset, keyword)
    return int(number) if number is not None and number >= 0 else 0


def numbers_of(dataset: Dataset, keyword: str, n: int) -> tuple[float, ...] | None:
    """Return exactly ``n`` finite numbers, None if they are not there."""
    key = _key_of(dataset, keyword)
    numbers = _as_numbers(value_of(dataset, keyword)) if key is None else _kept_numbers(key)
    return numbers if len(numbers) == n else None


def item_of(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """Return the first item of a sequence, None if there is none."""
    items = items_of(dataset, keyword)
    return items[0] if items else None


def items_of(dataset: Dataset | None, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence."""
    value = None if dataset is None else value_of(dataset, keyword)
    return value if value is not None and all(isinstance(item, Dataset) for item in value) else ()


def acquired_at(dataset: Dataset) -> Moment | None:
    """Return when the image was acquired.

    Acquisition DateTime (0008,002A), else Acquisition Date and Time, the first that is whole. Else
    the earliest of what these, Series and Study Date and Time say: a series may be a later
    reconstruction, and a moment after the scan would let records from after it be used. Content
    Date (0008,0023) is not read for the same reason. Of the earliest day a time counts where one
    is known, else the day's start. The offset from UTC is the suffix of Acquisition DateTime where
    that is used, else Timezone Offset From UTC (0008,0201).
    """
    stamp, suffix = _without_offset(text_of(dataset, "AcquisitionDateTime"))
    zone = _offset_minutes(text_of(dataset, "TimezoneOffsetFromUTC"))
    told = [(stamp[:8], stamp[8:], zone if suffix is None else suffix)]
    told += [
        (text_of(dataset, f"{event}Date"), text_of(dataset, f"{event}Time"), zone)
        for event in ("Acquisition", "Series", "Study")
    ]
    exact = [moment for moment in _moments(told[:2]) if not moment.is_day_only]
    return next(iter(exact), min(_moments(told), key=_order, default=None))


def _moments(told: Sequence[tuple[str, str, int | None]]) -> list[Moment]:
    """Return what days and times say; of a day without a time that can be read, the day."""
    return [
        Moment(at or start, at is None, offset)
        for day, time, offset in told
        if (start := _moment(day, "")) is not None
        for at in [_whole(day, time)]
    ]


def _order(moment: Moment) -> tuple[date, bool, datetime]:
    return moment.at.date(), moment.is_day_only, moment.at


def _without_offset(stamp: str) -> tuple[str, int | None]:
    """Split "20240531143000.5+0200" into the local time and its offset in minutes."""
    offset = _offset_minutes(stamp)
    return stamp.split("+", maxsplit=1)[0].split("-", maxsplit=1)[0], offset


def _offset_minutes(text: str) -> int | None:
    found = _OFFSET.search(text)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    minutes = -minutes if found[1] == "-" else minutes
    low, high = _OFFSET_MINUTES
    return minutes if low <= minutes <= high else None


def _whole(day: str, time: str) -> datetime | None:
    return _moment(day, time) if time else None


@lru_cache(maxsize=_KEPT_VALUES)
def _moment(day: str, time: str) -> datetime | None:
    # "2016.07.25" and "10:47:28" are ACR-NEMA's forms, which a reader may still meet (PS3.5 6.2).
    day, time = day.replace(".", ""), time.replace(":", "")
    whole, _, fraction = time.partition(".")
    form = {0: "", 2: "%H", 4: "%H%M", 6: "%H%M%S"}.get(len(whole))
    if form is None or len(day) != 8 or not (day + whole).isdecimal():
        return None
    if fraction and not fraction.isdecimal():
        return None
    try:
        moment = datetime.strptime(day + whole, "%Y%m%d" + form)
    except ValueError:
        return None
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)


def plane_numbers(
    position: Dataset | None, orientation: Dataset | None, measures: Dataset | None
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None:
    """Return position (3), orientation (6) and pixel spacing (2), None if one is missing.

    For a classic image all three arguments are the dataset, for a frame of an enhanced one the
    items of Plane Position, Plane Orientation and Pixel Measures.
    """
    if position is None or orientation is None or measures is None:
        return None
    origin = numbers_of(position, "ImagePositionPatient", 3)
    cosines = numbers_of(orientation, "ImageOrientationPatient", 6)
    spacing = numbers_of(measures, "PixelSpacing", 2)
    if origin is None or cosines is None or spacing is None:
        return None
    if not all(abs(value) < _LARGEST_MM for value in origin):
        return None
    return (origin, cosines, spacing) if all(0 < mm < _LARGEST_MM for mm in spacing) else None


def _is_several(value: object) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")
