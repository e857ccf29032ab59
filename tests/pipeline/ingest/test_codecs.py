"""Every transfer syntax gives the stored values; what could be meant in two ways is refused."""

import warnings
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from pipeline.errors import IngestError
from pipeline.ingest import discover, load_volume
from pipeline.ingest.codecs import Stored, decode_frame, is_decodable, within_stored_bits
from schemas.issue import IssueCode, Severity
from tests.factories import ball, edit, grid, put, write_ball

SHIPPED = Path(pydicom.data.__file__).parent / "test_files"
Encode = Callable[[NDArray[np.uint16]], bytes]


def jpeg_ls(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(image))


def jpeg_ls_near(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(image, level=2))


def jpeg_2000(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k", reversible=True))


def jpeg_2000_lossy(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, level=95, codecformat="j2k", reversible=False))


def htj2k(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.htj2k_encode(image, reversible=True))


def jpeg_lossless(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(image, bitspersample=16))


def jpeg_12_bits(image: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, bitspersample=12, level=99))


LOSSLESS: list[tuple[UID, Encode]] = [
    (uid.JPEGLossless, jpeg_lossless),
    (uid.JPEGLosslessSV1, jpeg_lossless),
    (uid.JPEGLSLossless, jpeg_ls),
    (uid.JPEG2000Lossless, jpeg_2000),
    (uid.JPEG2000, jpeg_2000),
    (uid.HTJ2KLossless, htj2k),
    (uid.HTJ2KLosslessRPCL, htj2k),
    (uid.HTJ2K, htj2k),
]
LOSSY: list[tuple[UID, Encode]] = [
    (uid.JPEGExtended12Bit, jpeg_12_bits),
    (uid.JPEGLSNearLossless, jpeg_ls_near),
    (uid.JPEG2000, jpeg_2000_lossy),
    (uid.HTJ2K, jpeg_2000_lossy),
]


def compress(paths: list[Path], syntax: UID, encode: Encode) -> None:
    def change(dataset: pydicom.Dataset) -> None:
        image = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = encapsulate([encode(np.ascontiguousarray(image))])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax

    edit(paths, change)


def by_name(pairs: list[tuple[UID, Encode]]) -> list[object]:
    return [pytest.param(*pair, id=pair[0].keyword) for pair in pairs]


@pytest.mark.parametrize(("syntax", "encode"), by_name(LOSSLESS))
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_lossless_syntax_gives_every_value(
    tmp_path: Path, modality: str, syntax: UID, encode: Encode
) -> None:
    """CT is signed here; its codestream holds the bits of the values as unsigned ones."""
    paths = write_ball(tmp_path, modality=modality)  # type: ignore[arg-type]
    if modality == "CT":  # below zero as stored, so that the sign counts
        edit(paths, lambda item: setattr(item, "RescaleIntercept", "0"))
        edit(
            paths,
            lambda item: setattr(
                item, "PixelData", (item.pixel_array - 1600).astype("<i2").tobytes()
            ),
        )
    put(paths, LossyImageCompression="00")  # these syntaxes may hold either
    compress(paths, syntax, encode)
    (series,) = discover(tmp_path).studies[0].series
    assert {issue.code for issue in series.issues} == set()
    expected = ball(grid()) + (1024 - 1600 if modality == "CT" else 0)
    assert np.array_equal(load_volume(tmp_path, series).array, expected)


@pytest.mark.parametrize(("syntax", "encode"), by_name(LOSSY))
def test_a_lossy_syntax_is_read_nearly_and_marked(
    tmp_path: Path, syntax: UID, encode: Encode
) -> None:
    paths = write_ball(tmp_path, modality="MR")
    put(paths, BitsStored=12, HighBit=11, LossyImageCompression="01")
    compress(paths, syntax, encode)
    (series,) = discover(tmp_path).studies[0].series
    assert [(issue.code, issue.severity) for issue in series.issues] == [
        (IssueCode.PIXELS_LOSSY, Severity.WARNING)
    ]
    error = np.abs(load_volume(tmp_path, series).array - ball(grid()))
    assert 0 < error.max() < 20


def test_jpeg_of_8_bits_is_read_nearly_and_marked(tmp_path: Path) -> None:
    def change(dataset: pydicom.Dataset) -> None:
        image = (dataset.pixel_array // 4).astype(np.uint8)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = encapsulate([bytes(imagecodecs.jpeg8_encode(image, level=98))])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit

    edit(write_ball(tmp_path, modality="MR"), change)
    (series,) = discover(tmp_path).studies[0].series
    assert [issue.code for issue in series.issues] == [IssueCode.PIXELS_LOSSY]
    error = np.abs(load_volume(tmp_path, series).array - ball(grid()) // 4)
    assert error.max() < 4


def test_what_pydicom_decodes_can_be_read() -> None:
    syntaxes = [UID(name) for name in uid.UID_dictionary if UID(name).is_transfer_syntax]
    for syntax in syntaxes:
        try:
            is_known = get_decoder(syntax).is_available
        except NotImplementedError:
            is_known = False
        assert is_decodable(syntax) or not is_known, syntax.name


def compressed_grey_files() -> list[Path]:
    found = []
    for path in sorted(SHIPPED.glob("*.dcm")):
        with warnings.catch_warnings(action="ignore"):
            dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
        is_compressed = syntax.is_transfer_syntax and syntax.is_encapsulated
        if is_compressed and dataset.get("SamplesPerPixel") == 1:
            found.append(path)
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", compressed_grey_files(), ids=lambda path: path.name)
def test_files_of_other_encoders_are_as_pydicom_and_pylibjpeg_decode_them(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    n_frames = int(dataset.get("NumberOfFrames", 1))
    content = get_frame(dataset.PixelData, 0, number_of_frames=n_frames)
    frame = Stored(
        syntax,
        *(dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored),
        bool(dataset.PixelRepresentation),
    )
    plugin = "pydicom" if syntax == uid.RLELossless else "pylibjpeg"
    try:
        expected, _ = get_decoder(syntax).as_array(
            dataset, index=0, raw=True, decoding_plugin=plugin
        )
    except RuntimeError:
        pytest.skip("pylibjpeg does not decode this file")
    bound = 1 if syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit) else 0
    difference = decode_frame(content, frame).astype(np.int64) - expected
    assert np.abs(difference).max() <= bound


IMAGE = np.arange(2500, 2500 + 48, dtype=np.uint16).reshape(6, 8)


def stored(**changes: object) -> Stored:
    values: dict[str, object] = {
        "syntax": uid.JPEGLSLossless, "rows": 6, "columns": 8, "allocated": 16, "stored": 16,
        "is_signed": False,
    }  # fmt: skip
    return Stored(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": 7}, "6x8x1 where the header says 7x8"),
        ({"columns": 6, "rows": 8}, "where the header says 8x6"),
        ({"allocated": 8, "stored": 8}, "16 bits where 8 are allocated"),
        ({"stored": 11}, "more than the 11 bits"),
    ],
)
def test_a_codestream_that_contradicts_the_header_is_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(IngestError, match=words):
        decode_frame(jpeg_ls(IMAGE), stored(**changes))


def test_a_sign_that_cannot_be_told_is_refused() -> None:
    """12 bits in the codestream, 16 signed by the header: is 2500 itself or 2500 - 4096?"""
    content = bytes(imagecodecs.ljpeg_encode(IMAGE, bitspersample=12))
    with pytest.raises(IngestError, match="cannot be told"):
        decode_frame(content, stored(syntax=uid.JPEGLossless, is_signed=True))
    signed = decode_frame(content, stored(syntax=uid.JPEGLossless, is_signed=True, stored=12))
    assert np.array_equal(signed, IMAGE.astype(np.int64) - 4096)
    small = bytes(imagecodecs.ljpeg_encode(IMAGE - 2000, bitspersample=12))
    plain = decode_frame(small, stored(syntax=uid.JPEGLossless, is_signed=True))
    assert np.array_equal(plain, IMAGE - 2000)


def test_negative_values_where_the_header_has_none_are_refused() -> None:
    signed = jpeg_2000(IMAGE.astype(np.int16) - 2510)  # type: ignore[arg-type]
    with pytest.raises(IngestError, match="negative"):
        decode_frame(signed, stored(syntax=uid.JPEG2000Lossless))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([uid.RLELossless, *(s for s, _ in LOSSLESS)]))
def test_bytes_that_are_no_image_are_refused(content: bytes, syntax: UID) -> None:
    with pytest.raises(IngestError):
        decode_frame(content, stored(syntax=syntax, rows=600))


@given(st.integers(1, 16), st.booleans(), st.lists(st.integers(0, 2**16 - 1), min_size=1))
def test_unused_bits_are_zero_or_the_sign(bits: int, is_signed: bool, values: list[int]) -> None:
    frame = stored(stored=bits, is_signed=is_signed, rows=1, columns=len(values))
    image = (np.array([values]) % 2**bits).astype("<u2")
    expected = image.astype(np.int64)
    if is_signed:
        expected = np.where(expected >= 2 ** (bits - 1), expected - 2**bits, expected)
    assert np.array_equal(within_stored_bits(image.view(frame.dtype), frame), expected)
    assert np.array_equal(within_stored_bits(expected.astype(frame.dtype), frame), expected)
