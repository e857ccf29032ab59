"""A Series becomes a Volume whose every slice is proved to lie where its header says."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import IngestError
from pipeline.ingest.archive import DAMAGE
from pipeline.ingest.beginning import CHUNK_BYTES, Beginning, read_beginning, read_head
from pipeline.ingest.codecs import Pixels
from pipeline.ingest.header import FileFacts, instance_of, sop_uid_of
from pipeline.ingest.instance import Frame, Instance
from pipeline.ingest.person import patient_sha256
from pipeline.ingest.proof import Proof
from pipeline.ingest.quiet import quiet
from pipeline.ingest.resample import volume_of
from pipeline.ingest.store import N_CORES, FileStore, OpenFile
from pipeline.ingest.stored import StoredFrame, stored_frames
from pipeline.volume import Volume
from schemas.issue import IssueCode
from schemas.series import FrameSource, Series

Members = list[tuple[int, FrameSource]]
Slices = list[tuple[int, Frame]]

_WAITING_PER_THREAD = 2
_VOXELS_PER_JOB = 2**20
"""Handing over a single slice that is not compressed takes as long as decoding it."""
_EXACT_BELOW = 2.0**23


def load_volume(folder: Path, series: Series) -> Volume:
    """Decode a series that ``discover`` found usable.

    Values are ``stored * RescaleSlope + RescaleIntercept`` of each slice's own header, as float32;
    an MR image without these keeps what is stored. Photometric Interpretation (0028,0004)
    MONOCHROME1 only says how to display, so it changes nothing. Pixel Padding Value (0028,0120)
    stays in the volume.

    Parameters
    ----------
    folder
        The folder that was given to ``discover``.
    series
        One of its inventory's series.

    Returns
    -------
    Volume
        HU for CT, scanner units for MR; slices along the normal, right-handed. A tilted stack is
        resampled onto a right grid; ``scanned`` then says where the scanner looked.

    Raises
    ------
    IngestError
        If the series was refused, a file is gone or has changed, pixels cannot be decoded, or a
        slice does not lie where the volume's affine puts it.
    """
    if series.shape is None or series.affine_lps is None or not series.is_usable:
        codes = ", ".join(issue.code for issue in series.issues) or "no geometry"
        msg = f"the series was refused and has no volume: {codes}"
        raise IngestError(msg)
    proof = Proof.of(series)
    target = _Target(proof, np.empty(proof.shape, dtype=np.float32))
    with FileStore(folder) as store, quiet():
        _run(_jobs(_Files.of(store, series), series.frames, target))
    return volume_of(target.array, series, proof)


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """The volume that is being filled."""

    proof: Proof
    array: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Files:
    """The files of a series, and what a report may call them: a path may name a patient."""

    store: FileStore
    names: Mapping[str, str]
    patient_sha256: str

    @classmethod
    def of(cls, store: FileStore, series: Series) -> Self:
        files = sorted({source.file for source in series.frames})
        count = len(files)
        names = {
            file: f"file {n} of {count} of the series" for n, file in enumerate(files, start=1)
        }
        return cls(store, names, series.patient_sha256)


def _run(jobs: Iterator[Callable[[], None]]) -> None:
    """Run jobs in parallel, a bounded number of them waiting; the first fault stops it."""
    first, second = next(jobs), next(jobs, None)
    if second is None:
        first()
        return
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(N_CORES) as pool:
        try:
            for job in chain((first, second), jobs):
                waiting.append(pool.submit(job))
                if len(waiting) > _WAITING_PER_THREAD * N_CORES:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _jobs(
    files: _Files, sources: Sequence[FrameSource], target: _Target
) -> Iterator[Callable[[], None]]:
    """Give one job some files, or, of a file of several slices, one a stored frame."""
    wanted: dict[str, Members] = defaultdict(list)
    for index, source in enumerate(sources):
        wanted[source.file].append((index, source))
    single = [(file, members) for file, members in wanted.items() if len(members) == 1]
    _, rows, columns = target.array.shape
    n_files = max(1, _VOXELS_PER_JOB // (rows * columns))
    for start in range(0, len(single), n_files):
        yield partial(_fill_from_files, files, single[start : start + n_files], target)
    for file, members in wanted.items():
        if len(members) > 1:
            for frame, slices in _stored_slices(files, file, members):
                yield partial(_fill, files.names[file], frame, slices, target)


def _fill_from_files(files: _Files, some: list[tuple[str, Members]], target: _Target) -> None:
    for file, members in some:
        for frame, slices in _stored_slices(files, file, members):
            _fill(files.names[file], frame, slices, target)


def _fill(name: str, stored: StoredFrame, slices: Slices, target: _Target) -> None:
    """Decode one stored frame and write the slices that it holds: several of a mosaic."""
    try:
        for index, frame in slices:
            target.proof.check(index, frame)
        pixels = stored.decoded()
        for index, frame in slices:
            row, column = frame.tile_origin or (0, 0)
            tile = pixels[row : row + frame.rows, column : column + frame.columns]
            _scale_into(target.array[index], tile, frame.rescale)
    except IngestError as error:
        msg = f"{name}: {error}"
        raise IngestError(msg, error.code) from None


def _scale_into(
    out: NDArray[np.float32], pixels: Pixels, rescale: tuple[float, float] | None
) -> None:
    """Write ``pixels * slope + intercept``, rounded once."""
    slope, intercept = rescale or (1.0, 0.0)
    is_exact = pixels.dtype.itemsize <= 2 and slope == 1.0 and abs(intercept) < _EXACT_BELOW
    if is_exact and intercept.is_integer():
        out[...] = pixels  # to convert while adding takes longer
        if intercept:
            out += np.float32(intercept)
    else:
        out[...] = pixels * slope + intercept


def _stored_slices(
    files: _Files, file: str, members: Members
) -> Iterator[tuple[StoredFrame, Slices]]:
    """Give each stored frame of a file with the index and header of the slices that it holds."""
    name = files.names[file]
    try:
        with files.store.open(file) as found:
            beginning, instance = _open(found, file)
            if patient_sha256(instance) != files.patient_sha256:
                msg = "names another patient than when it was found"
                raise IngestError(msg, IssueCode.IDENTITY_CONFLICT)
            slices = _slices_by_frame(instance, members)
            for number, frame in stored_frames(found, beginning, sorted(slices)):
                yield frame, slices.pop(number)
            if slices:
                msg = f"frame {min(slices)} is not there"
                raise IngestError(msg)
    except IngestError as error:
        msg = f"{name}: {error}"
        raise IngestError(msg, error.code) from None
    except OSError as error:
        msg = f"{name} cannot be opened: {error.strerror}"
        raise IngestError(msg, IssueCode.FILE_UNREADABLE) from None  # the cause holds the path
    except DAMAGE as error:
        msg = f"{name}: the member of an archive is damaged ({type(error).__name__})"
        raise IngestError(msg, IssueCode.ARCHIVE_UNREADABLE) from None


def _slices_by_frame(instance: Instance, members: Members) -> dict[int, Slices]:
    """Find the slices in the instance; the tiles of a mosaic lie in its one frame."""
    if any(source.sop_instance_uid != instance.sop_uid for _, source in members):
        msg = "holds another instance than when it was found"
        raise IngestError(msg)
    frames = {frame.number: frame for frame in instance.frames}
    slices: dict[int, Slices] = defaultdict(list)
    for index, source in members:
        if source.frame not in frames:
            msg = f"has no frame {source.frame}"
            raise IngestError(msg)
        frame = frames[source.frame]
        slices[1 if frame.tile_origin else frame.number].append((index, frame))
    return slices


def _open(found: OpenFile, file: str) -> tuple[Beginning, Instance]:
    try:
        beginning = read_beginning(found, read_head(found))
        sha256 = "" if sop_uid_of(beginning.header) else _sha256(found)
        facts = FileFacts(file, found.n_bytes, sha256)
        instance = instance_of(beginning.header, beginning.pixels, facts)
    except OSError:
        raise
    except Exception as error:  # an untrusted file may fail in any way
        msg = f"the header cannot be read ({type(error).__name__})"
        raise IngestError(msg) from None  # the cause may show what the header holds
    faults = [fault.phrase for frame in instance.frames for fault in frame.faults if fault.is_error]
    if faults:
        msg = f"an image {faults[0]}"
        raise IngestError(msg)
    return beginning, instance


def _sha256(found: OpenFile) -> str:
    found.stream.seek(0)
    digest = hashlib.sha256()
    while chunk := found.stream.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
