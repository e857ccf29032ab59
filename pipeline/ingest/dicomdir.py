"""A DICOMDIR lists the files of a medium; nothing is read by it, but what is gone is named."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pydicom.dataset import Dataset

from pipeline.ingest.elements import items_of, text_of
from pipeline.ingest.instance import Unread
from pipeline.ingest.names import leads_out, shown_name
from schemas.issue import Issue, IssueCode, Severity

DIRECTORY_KEYWORD = "DirectoryRecordSequence"
_MAX_NAMED = 100


def referenced_files(dataset: Dataset) -> tuple[str, ...]:
    """Return what Referenced File ID (0004,1500) of a directory's records lists, with slashes.

    What leads out of the directory's folder is left out.
    """
    found: dict[str, None] = {}
    for record in items_of(dataset, DIRECTORY_KEYWORD):
        parts = text_of(record, "ReferencedFileID").split("\\")
        path = "/".join(part.strip() for part in parts)
        if path and not leads_out(path):
            found[shown_name(path.encode())] = None
    return tuple(found)


def missing_files(files: Iterable[str], others: Sequence[Unread]) -> list[Unread]:
    """Name the files that a DICOMDIR among ``others`` lists and that were not found.

    Upper and lower case and the version number of ISO 9660 (``;1``) do not count, since media are
    copied in many ways. At most 100 files a directory are named one by one.
    """
    directories = [other for other in others if other.references]
    if not directories:
        return []
    there = {_plain(file) for file in (*files, *(other.file for other in others))}
    missing = []
    for directory in directories:
        parent = PurePosixPath(directory.file).parent
        names = [str(parent / path) for path in directory.references]
        gone = [name for name in names if _plain(name) not in there]
        missing += [_missing(name, "listed by a DICOMDIR, but not there") for name in gone]
        if len(gone) > _MAX_NAMED:
            n_more = len(gone) - _MAX_NAMED
            del missing[-n_more:]
            why = f"lists {n_more} more files that are not there"
            missing.append(_missing(directory.file, why))
    return missing


def _plain(name: str) -> str:
    return name.partition(";")[0].rstrip(".").casefold()


def _missing(file: str, why: str) -> Unread:
    issue = Issue(code=IssueCode.FILE_MISSING, severity=Severity.WARNING, message=why)
    return Unread(file=file, issue=issue)
