"""A header as the bytes of its elements, and what is made of them.

The files of a series say nearly the same. What a function makes of a few elements is kept with
their bytes, so that it is worked out once for all files in which these are the same.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property, lru_cache, wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from pipeline.ingest.elements import tag_of, tag_of_number, text_of, text_of_bytes

Raw = tuple[str | None, bytes]
"""Value representation, None if it is implicit, and value of an element."""
Made = dict[Hashable, Any]
"""What functions have made of elements, by function and other arguments, and UIDs by their tag."""

_Elements = dict[BaseTag, DataElement | RawDataElement]

MAX_KEPT_BYTES = 256
"""What is made of a longer value is not kept."""
_MAX_KEPT = 4096
_META_GROUP = 2
_NOT_MADE: Final = object()

Extra = ParamSpec("Extra")
Result = TypeVar("Result")


class Header:
    """The elements that ingest needs, none of them a sequence unless pydicom read them.

    Parameters
    ----------
    raw
        Elements by tag, those of the file meta information among them, little endian.
    charset
        Python's names of the character sets of the texts.
    made
        What was made of elements that other headers have, too.
    own
        Tags of those that others may not have.
    long
        Tags of those with more than ``MAX_KEPT_BYTES``.
    """

    def __init__(
        self,
        raw: Mapping[int, Raw],
        charset: tuple[str, ...],
        *,
        made: Made,
        own: frozenset[int],
        long: frozenset[int],
    ) -> None:
        self.raw: Mapping[int, Raw] | None = raw
        self.charset, self.made, self.own, self.long = charset, made, own, long

    @classmethod
    def of(cls, dataset: Dataset) -> "Header":
        """Take what pydicom has read."""
        header = cls({}, (), made={}, own=frozenset(), long=frozenset())
        header.raw = None
        header.dataset = dataset
        return header

    @cached_property
    def dataset(self) -> Dataset:
        """All elements, as pydicom converts them."""
        return dataset_of((self.raw or {}).items(), self.charset)


def dataset_of(raw: Iterable[tuple[int, Raw]], charset: tuple[str, ...] = ()) -> Dataset:
    """Make a dataset of elements, which pydicom converts when they are asked for."""
    found: _Elements = {}
    meta: _Elements = {}
    for number, (vr, value) in raw:
        tag = tag_of_number(number)
        group = meta if number >> 16 == _META_GROUP else found
        group[tag] = RawDataElement(tag, vr, len(value), value, 0, vr is None, True)
    dataset = Dataset(found)
    if meta:
        dataset.file_meta = FileMetaDataset(meta)
        dataset.file_meta.set_original_encoding(False, True, default_encoding)
    dataset.set_original_encoding(False, True, [*charset] or default_encoding)
    return dataset


def uid_of(header: Header, keyword: str) -> str:
    """Return a UID as the header has it, without making a dataset: nearly every one is new."""
    tag = tag_of(keyword)
    made: str | None = header.made.get(tag)
    if made is not None:
        return made
    if header.raw is None or tag in header.long:
        return text_of(
            header.dataset.file_meta if tag.group == _META_GROUP else header.dataset, keyword
        )
    found = header.raw.get(int(tag))
    uid = "" if found is None else text_of_bytes(tag, *found)
    if tag not in header.own:
        header.made[tag] = uid
    return uid


def kept(
    *keywords: str, tags: tuple[int, ...] = ()
) -> Callable[
    [Callable[Concatenate[Dataset, Extra], Result]], Callable[Concatenate[Header, Extra], Result]
]:
    """Make a function of a dataset one of a header, and keep what it returns.

    Parameters
    ----------
    keywords, tags
        Elements that the function reads. It sees no others, so that its result depends on nothing
        else.
    """
    read = (*(int(tag_of(keyword)) for keyword in keywords), *tags)
    seen = frozenset(read)

    def kept_as(
        function: Callable[Concatenate[Dataset, Extra], Result],
    ) -> Callable[Concatenate[Header, Extra], Result]:
        @lru_cache(_MAX_KEPT)
        def of_elements(
            charset: tuple[str, ...],
            values: tuple[Raw | None, ...],
            *args: Extra.args,
            **kwargs: Extra.kwargs,
        ) -> Result:
            pairs = zip(read, values, strict=True)
            found = dataset_of([(tag, raw) for tag, raw in pairs if raw is not None], charset)
            return function(found, *args, **kwargs)

        @wraps(function)
        def of_header(header: Header, /, *args: Extra.args, **kwargs: Extra.kwargs) -> Result:
            key = (function, *args, *kwargs.values()) if args or kwargs else function
            result: Result = header.made.get(key, _NOT_MADE)
            if result is not _NOT_MADE:
                return result
            if header.raw is None or not header.long.isdisjoint(seen):
                return function(header.dataset, *args, **kwargs)
            values = tuple(map(header.raw.get, read))
            result = of_elements(header.charset, values, *args, **kwargs)  # type: ignore[arg-type]
            if header.own.isdisjoint(seen):
                header.made[key] = result
            return result

        return of_header

    return kept_as
