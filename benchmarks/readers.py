"""One reader on one folder, in a process of its own: what benchmarks/ingest.py starts.

    python -m benchmarks.readers READER FOLDER N_SERIES

Prints one line of JSON. Modules are imported before the clock starts; memory is counted above what
the imports take. The folder holds one series, or N_SERIES folders of one series each.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Reader(NamedTuple):
    """How one library is asked."""

    load: Callable[[list[Path]], int]
    """Takes the series' folders and returns the bytes of all voxels in the library's own type."""
    scan: Callable[[list[Path]], int] | None = None
    """Finds the series and its files in order by their headers; returns how many files."""


def synopt() -> Reader:
    """Headers, hashes, grouping, geometry; then every slice decoded and proved, as float32."""
    from pipeline.ingest import discover, load_volume  # noqa: PLC0415

    found: dict[str, Any] = {}

    def scan(folders: list[Path]) -> int:
        root = folders[0].parent if len(folders) > 1 else folders[0]
        found["root"], found["inventory"] = root, discover(root)
        series = [item for study in found["inventory"].studies for item in study.series]
        assert all(item.is_usable for item in series)  # noqa: S101
        return sum(item.n_frames for item in series)

    def load(_folders: list[Path]) -> int:
        n_bytes = 0
        for study in found["inventory"].studies:
            for series in study.series:
                n_bytes += load_volume(found["root"], series).array.nbytes
        return n_bytes

    return Reader(load, scan)


def simpleitk() -> Reader:
    """ImageSeriesReader, with the file names in GDCM's order."""
    import SimpleITK as sitk  # noqa: N813, PLC0415

    names: list[tuple[str, ...]] = []

    def scan(folders: list[Path]) -> int:
        for folder in folders:
            for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
                found = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
                names.append(found)
        return sum(map(len, names))

    def load(_folders: list[Path]) -> int:
        n_bytes = 0
        for files in names:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(files)
            n_bytes += sitk.GetArrayViewFromImage(reader.Execute()).nbytes
        return n_bytes

    return Reader(load, scan)


def dicom2nifti() -> Reader:
    """dicom_series_to_nifti, writing NIfTI that is not compressed."""
    from dicom2nifti.convert_dicom import dicom_series_to_nifti  # noqa: PLC0415

    def load(folders: list[Path]) -> int:
        n_bytes = 0
        with tempfile.TemporaryDirectory(dir=folders[0].parent) as out:
            for folder in folders:
                image = dicom_series_to_nifti(str(folder), f"{out}/image.nii")["NII"]
                n_bytes += np.asanyarray(image.dataobj).nbytes
        return n_bytes

    return Reader(load)


def monai() -> Reader:
    """LoadImage with PydicomReader."""
    from monai.transforms import LoadImage  # noqa: PLC0415

    def load(folders: list[Path]) -> int:
        read = LoadImage(reader="PydicomReader", image_only=True)
        return sum(read(str(folder)).numpy().nbytes for folder in folders)

    return Reader(load)


def highdicom() -> Reader:
    """get_volume_from_series of what pydicom reads."""
    import pydicom  # noqa: PLC0415
    from highdicom import get_volume_from_series  # noqa: PLC0415

    def load(folders: list[Path]) -> int:
        n_bytes = 0
        for folder in folders:
            datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
            n_bytes += get_volume_from_series(datasets).array.nbytes
        return n_bytes

    return Reader(load)


def dcm2niix() -> Reader:
    """Run the program, which writes NIfTI that is not compressed."""
    program = shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
    program = program or shutil.which("dcm2niix")
    assert program is not None  # noqa: S101

    def load(folders: list[Path]) -> int:
        root = folders[0].parent if len(folders) > 1 else folders[0]
        with tempfile.TemporaryDirectory(dir=root.parent) as out:
            command = [program, "-z", "n", "-b", "n", "-d", "2", "-f", "%j", "-o", out, str(root)]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
            return sum(path.stat().st_size for path in Path(out).glob("*.nii"))

    return Reader(load)


READERS: dict[str, Callable[[], Reader]] = {
    reader.__name__: reader
    for reader in (synopt, simpleitk, dicom2nifti, monai, highdicom, dcm2niix)
}


def memory_bytes(field: str) -> int:
    """Read VmRSS or VmHWM of this process, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def main(name: str, folder: Path, n_series: int) -> None:
    """Time one reader once."""
    reader = READERS[name]()
    folders = [folder] if n_series == 1 else sorted(folder.iterdir())
    before = memory_bytes("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    n_files = reader.scan(folders) if reader.scan else 0
    scanned = time.perf_counter()
    n_bytes = reader.load(folders)
    end = time.perf_counter()
    result = {
        "scan_s": scanned - start if reader.scan else None,
        "load_s": end - scanned,
        "cpu_s": time.process_time() - cpu,
        "n_files": n_files,
        "n_bytes": n_bytes,
        "peak_bytes": memory_bytes("VmHWM") - before,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
