"""No file makes ingest crash, hang or take a gibibyte: each is read or refused with a code."""

import subprocess
import sys
from pathlib import Path

import imagecodecs
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from tests.factories import edit, write_ball, write_enhanced
from tests.pipeline.ingest.fuzz import MAX_MEMORY_BYTES, MUTATIONS

SEED = 4


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slices of one series: plain, in every kind of compression, and an enhanced image."""
    folder = tmp_path_factory.mktemp("sources")
    paths = write_ball(folder)
    enhanced = tmp_path_factory.mktemp("enhanced") / "image"
    write_enhanced(paths, enhanced)
    encoders = {
        uid.JPEGLSLossless: imagecodecs.jpegls_encode,
        uid.JPEG2000Lossless: lambda image: imagecodecs.jpeg2k_encode(
            image, level=0, codecformat="j2k", reversible=True
        ),
        uid.HTJ2KLossless: lambda image: imagecodecs.htj2k_encode(image, reversible=True),
        uid.JPEGLosslessSV1: lambda image: imagecodecs.ljpeg_encode(image, bitspersample=16),
    }
    for path, (syntax, encode) in zip(paths[3:], encoders.items(), strict=False):

        def change(dataset: pydicom.Dataset) -> None:
            image = dataset.pixel_array.view("uint16")
            dataset.PixelData = encapsulate([bytes(encode(image))])  # noqa: B023
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = syntax  # noqa: B023

        edit(path, change)
    edit(paths[7], lambda dataset: dataset.compress(uid.RLELossless, encoding_plugin="pydicom"))
    deflated = pydicom.dcmread(paths[8])
    deflated.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    deflated.save_as(paths[8])
    paths[9].write_bytes(enhanced.read_bytes())
    for path in paths[10:]:
        path.unlink()
    return folder


def run(sources: Path, first: int, count: int) -> list[str]:
    command = [sys.executable, "-m", "tests.pipeline.ingest.fuzz", str(SEED), str(first)]
    done = subprocess.run(
        [*command, str(count), str(sources)], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"mutant {lines[-1:]}: {done.stderr[-2000:]}"
    *outcomes, peak = lines
    assert len(outcomes) == count
    assert int(peak.split()[1]) < MAX_MEMORY_BYTES  # above what Python and its modules take
    return outcomes


def assert_it_bites(outcomes: list[str]) -> None:
    """Some of the mutants must be refused, for several reasons, and some must still be read."""
    codes = {code for line in outcomes for code in line.split(" ")[3].split(",") if code}
    assert len(codes) >= 5
    assert any(" 0 read" in f" {line[line.index(' ') :]}" for line in outcomes)
    assert any("1 read" in line for line in outcomes)


def test_mutants_are_read_or_refused(sources: Path) -> None:
    assert_it_bites(run(sources, 0, 29 * len(MUTATIONS)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(4))
def test_two_thousand_mutants_are_read_or_refused(sources: Path, part: int) -> None:
    assert_it_bites(run(sources, 1000 + 500 * part, 500))
