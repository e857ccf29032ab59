"""A Series becomes a Volume whose every slice is proved to lie where its header says."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from pipeline.errors import IngestError
from pipeline.ingest.header import instance_of, syntax_of
from pipeline.ingest.instance import Frame, Instance
from pipeline.ingest.pixel_format import PixelData
from pipeline.ingest.proof import Proof
from pipeline.ingest.quiet import quiet
from pipeline.ingest.resample import volume_of
from pipeline.volume import Volume
from schemas.series import FrameSource, Series

Pixels = NDArray[np.integer[Any]]


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
    array = np.empty(proof.shape, dtype=np.float32)
    for index, frame, pixels in _slices(folder, series.frames):
        proof.check(index, frame)
        slope, intercept = frame.rescale or (1.0, 0.0)
        array[index] = pixels * slope + intercept
    return volume_of(array, series, proof)


def _slices(folder: Path, sources: Sequence[FrameSource]) -> Iterator[tuple[int, Frame, Pixels]]:
    """Give each slice's index, header and stored pixels, file by file."""
    wanted: dict[str, list[tuple[int, FrameSource]]] = {}
    for index, source in enumerate(sources):
        wanted.setdefault(source.file, []).append((index, source))
    for file, members in wanted.items():
        dataset, instance = _open(folder, file)
        if any(source.sop_instance_uid != instance.sop_uid for _, source in members):
            msg = f"{file} holds another instance than when it was found"
            raise IngestError(msg)
        frames = {frame.number: frame for frame in instance.frames}
        missing = [source.frame for _, source in members if source.frame not in frames]
        if missing:
            msg = f"{file} has no frame {missing[0]}"
            raise IngestError(msg)
        chosen = [(index, frames[source.frame]) for index, source in members]
        try:
            yield from _decoded(dataset, chosen)
        except IngestError as error:
            msg = f"{file}: {error}"
            raise IngestError(msg) from None


def _open(folder: Path, file: str) -> tuple[Dataset, Instance]:
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()):
        msg = f"{file} lies outside the folder"
        raise IngestError(msg)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{file} cannot be opened: {error.strerror}"
        raise IngestError(msg) from error
    try:
        with quiet():
            dataset = dcmread(io.BytesIO(content), force=True)
            if "PixelData" not in dataset:
                msg = f"{file} is cut short before the end of its pixel data"
                raise IngestError(msg)
            sha256 = hashlib.sha256(content).hexdigest()
            pixels = PixelData(syntax_of(dataset), is_present=True, offset=None)
            instance = instance_of(dataset, pixels, file=file, sha256=sha256, n_bytes=len(content))
    except IngestError:
        raise
    except Exception as error:
        msg = f"{file}: the header cannot be read ({type(error).__name__})"
        raise IngestError(msg) from None  # the cause may show what the header holds
    faults = [fault.phrase for frame in instance.frames for fault in frame.faults if fault.is_error]
    if faults:
        msg = f"{file} is an image {faults[0]}"
        raise IngestError(msg)
    return dataset, instance


def _decoded(
    dataset: Dataset, chosen: Sequence[tuple[int, Frame]]
) -> Iterator[tuple[int, Frame, Pixels]]:
    """Decode the stored frames once each and cut tiles out of a mosaic."""
    whole = None if chosen[0][1].tile_origin is None else _stored_image(dataset, 0)
    for index, frame in chosen:
        pixels = _stored_image(dataset, frame.number - 1) if whole is None else whole
        row, column = frame.tile_origin or (0, 0)
        tile = pixels[row : row + frame.rows, column : column + frame.columns]
        if tile.shape != (frame.rows, frame.columns):
            msg = f"pixels of {tile.shape} where the header says {(frame.rows, frame.columns)}"
            raise IngestError(msg)
        yield index, frame, tile


def _stored_image(dataset: Dataset, number: int) -> Pixels:
    """Decode one frame, counted from 0."""
    syntax = syntax_of(dataset)
    is_plain = not syntax.is_compressed or syntax == RLELossless
    try:
        with quiet():
            image, _ = get_decoder(syntax).as_array(
                dataset,
                index=number,
                raw=True,
                correct_unused_bits=not is_plain,  # type: ignore[arg-type]
                # pylibjpeg's RLE decoder aborts with a panic, no Exception, on damaged data.
                decoding_plugin="pydicom" if syntax == RLELossless else "",
            )
    except Exception as error:
        msg = f"the pixels cannot be decoded ({type(error).__name__})"
        raise IngestError(msg) from None  # the cause may show what the header holds
    return _within_stored_bits(image, dataset) if is_plain else image


def _within_stored_bits(image: Pixels, dataset: Dataset) -> Pixels:
    """Extend the sign of values in fewer bits than allocated; the unused bits must be unused.

    They must be zero or repeat the sign (PS3.5 8.1.1). An old overlay may lie there, or Bits
    Stored (0028,0101) may be wrong; values that differ by which it is cannot be told.
    """
    n_unused = int(dataset.BitsAllocated) - int(dataset.BitsStored)
    if n_unused == 0:
        return image
    extended = (image << n_unused) >> n_unused
    is_sign = np.array_equal(image, extended)
    if not is_sign and not np.array_equal(image, extended & (2 ** int(dataset.BitsStored) - 1)):
        msg = f"pixel values use more than the {dataset.BitsStored} bits stored by the header"
        raise IngestError(msg)
    return extended
