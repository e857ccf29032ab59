"""How fast ingest is beside other readers, and what memory it takes.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.ingest [ROUNDS [N_SLICES [N_SERIES]]]

Writes benchmarks/results/ingest.json and ingest.md. Every reader runs in a process of its own, all
of them once a round, so that what else the machine does meets all alike; the medians over the
rounds are compared. Files lie in the page cache. The images are made here (seed 0): a CT of
512x512 with noise, in four transfer syntaxes, and many small MR series in a folder each.
"""

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless
from scipy.ndimage import gaussian_filter

from benchmarks.readers import READERS
from pipeline.geometry import Geometry
from pipeline.phantom.dicom import SeriesHeader, uid_from, write_series

RESULTS = Path(__file__).parent / "results"
PACKAGES = {"simpleitk": "SimpleITK", "monai": "monai", "dcm2niix": "dcm2niix"}
SIZE = 512
SMALL = (8, 64, 64)
SYNTAXES = {
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "RLE": RLELossless,
}

Row = dict[str, Any]


def main(n_rounds: int, n_slices: int, n_series: int) -> None:
    """Make the images, run every reader in turn, write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        cases = _cases(Path(scratch), n_slices, n_series)
        runs: dict[str, dict[str, list[Row]]] = {name: defaultdict(list) for name in cases}
        for _ in range(n_rounds):
            for name, (folder, count) in cases.items():
                for reader in _installed():
                    runs[name][reader].append(_run(reader, folder, count))
    result = {
        "command": f"python -m benchmarks.ingest {n_rounds} {n_slices} {n_series}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(PACKAGES.get(name, name)) for name in _installed()},
        "not_installed": sorted(set(READERS) - set(_installed())),
        "cases": {
            name: {reader: _medians(rows) for reader, rows in table.items()}
            for name, table in runs.items()
        },
        "slices": {"CT": n_slices, "MR": n_series * SMALL[0]},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ingest.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "ingest.md").write_text(_markdown(result))
    print((RESULTS / "ingest.md").read_text())


def _cases(scratch: Path, n_slices: int, n_series: int) -> dict[str, tuple[Path, int]]:
    cases = {"CT, not compressed": (scratch / "plain", 1)}
    paths = _write_ct(scratch / "plain", n_slices)
    for name, syntax in SYNTAXES.items():
        target = scratch / name.replace(" ", "")
        target.mkdir()
        for path in paths:
            _compress(path, target / path.name, syntax)
        cases[f"CT, {name}"] = (target, 1)
    _write_many(scratch / "small", n_series)
    cases[f"{n_series} MR series of {SMALL[0]} slices"] = (scratch / "small", n_series)
    return cases


def _write_ct(folder: Path, n_slices: int) -> list[Path]:
    """Air, soft tissue and lungs with correlated noise: lossless codecs reach about 1 to 3.5."""
    rng = np.random.default_rng(0)
    row = np.arange(SIZE)[:, None] - SIZE / 2
    column = np.arange(SIZE)[None, :] - SIZE / 2
    body = (row / 170) ** 2 + (column / 220) ** 2 < 1
    lung = (row / 110) ** 2 + ((np.abs(column) - 110) / 80) ** 2 < 1
    tissue = np.where(lung, -850.0, 40 + 60 * np.sin(column / 23) * np.cos(row / 31))
    array = np.empty((n_slices, SIZE, SIZE), np.float32)
    for image in array:
        noise = gaussian_filter(rng.normal(0, 32, (SIZE, SIZE)), 0.8)
        image[:] = np.where(body, tissue + noise, -1000 + np.abs(noise) / 3).clip(-1024, 3071)
    return write_series(folder, array, *_described("CT", array.shape, (1.25, 0.7, 0.7)))


def _write_many(folder: Path, n_series: int) -> None:
    rng = np.random.default_rng(1)
    for number in range(n_series):
        array = rng.integers(0, 1000, SMALL).astype(np.float32)
        described = _described("MR", SMALL, (5.0, 2.0, 2.0), number)
        write_series(folder / f"{number:05d}", array, *described)


def _described(
    modality: Any, shape: tuple[int, ...], spacing_mm: tuple[float, ...], number: int = 0
) -> tuple[Geometry, SeriesHeader]:
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.diag(spacing_mm[::-1]))
    header = SeriesHeader(
        patient_id=f"P{number}",
        study_uid=uid_from("bench", modality, number),
        series_uid=uid_from("bench", modality, number, "series"),
        frame_of_reference_uid=uid_from("bench", modality, number, "frame"),
        modality=modality,
        acquired_at=datetime(2024, 1, 1),
    )
    return Geometry(affine, (shape[0], shape[1], shape[2])), header


def _compress(source: Path, target: Path, syntax: UID) -> None:
    dataset = pydicom.dcmread(source)
    if syntax == RLELossless:
        dataset.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    else:
        dataset.PixelData = encapsulate([_encoded(dataset.pixel_array, syntax)])
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(target)


def _encoded(image: NDArray[np.int16], syntax: UID) -> bytes:
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(image.view(np.uint16)))
    return bytes(imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k", reversible=True))


def _installed() -> list[str]:
    names = {name: PACKAGES.get(name, name) for name in READERS} | {"synopt": "pipeline"}
    return [name for name, module in names.items() if importlib.util.find_spec(module)]


def _run(reader: str, folder: Path, n_series: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.readers", reader, str(folder), str(n_series)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        kind = done.stderr.strip().splitlines()[-1].partition(":")[0]
        return {"fault": kind}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def _medians(rows: list[Row]) -> Row:
    faults = [row["fault"] for row in rows if "fault" in row]
    if faults:
        return {"fault": faults[0]}
    keys = [key for key, value in rows[0].items() if value is not None]
    median = {key: statistics.median(row[key] for row in rows) for key in keys}
    median["total_s"] = statistics.median(row["load_s"] + (row["scan_s"] or 0) for row in rows)
    return median


def _markdown(result: Row) -> str:
    lines = [
        "# How fast ingest is",
        "",
        f"`{result['command']}`, {result['machine']}, "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + ". Medians; every reader in turn in each round, in a process of its own, files in the "
        "page cache. *Scan*: series found and their files put in order by the headers; ours also "
        "hashes every byte. *Whole*: from a folder to voxels (dcm2niix: to a NIfTI file; ours with "
        "hashing and the proof of every slice). *Times ours*: the reader's whole time over ours, "
        "above 1 is slower than ours. *Memory*: peak above the imports, over the size of the "
        "voxels in the reader's own type (ours: float32).",
    ]
    for name, table in result["cases"].items():
        n_slices = result["slices"]["CT" if name.startswith("CT") else "MR"]
        lines += ["", f"## {name}", ""]
        lines.append("| reader | scan, slices/s | whole, slices/s | times ours | CPU s | memory |")
        lines.append("| --- | --- | --- | --- | --- | --- |")
        lines += [_line(reader, row, table["synopt"], n_slices) for reader, row in table.items()]
    return "\n".join(lines) + "\n"


def _line(reader: str, row: Row, ours: Row, n_slices: int) -> str:
    if "fault" in row:
        return f"| {reader} | failed: {row['fault']} | | | | |"
    scan = f"{n_slices / row['scan_s']:,.0f}" if "scan_s" in row else ""
    is_program = reader == "dcm2niix"
    cpu = "" if is_program else f"{row['cpu_s']:.2f}"
    memory = "" if is_program else f"{row['peak_bytes'] / row['n_bytes']:.2f}"
    return (
        f"| {reader} | {scan} | {n_slices / row['total_s']:,.0f} | "
        f"{row['total_s'] / ours['total_s']:.2f} | {cpu} | {memory} |"
    )


if __name__ == "__main__":
    main(*(int(given) for given in (*sys.argv[1:], *("3", "300", "1000")[len(sys.argv) - 1 :])))
