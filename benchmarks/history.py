"""How long a big cohort's histories take to read and to pair with its studies, and how much memory.

    python -m benchmarks.history         (part of make bench)

Writes benchmarks/results/history.json and .md. A cohort of 10,000 patients with a study each,
1,000,000 table rows and 200,000 notes of about 1,000 characters is drawn (seed 0) and written as
csv, in a long and a wide form; so are one half and one quarter of it. Reading and pairing, not
drawing, is timed, each in a process of its own whose peak memory is the operating system's figure.
The machine may be shared, so the processor's seconds stand beside the clock's.
Notes are read and cleaned; looking for concepts in them is another benchmark (benchmarks.concepts).
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.history import history_at, load_records
from schemas.protocol import Protocol

RESULTS = Path(__file__).parent / "results"
FULL = {"rows": 1_000_000, "notes": 200_000, "studies": 10_000}
SHARES = (0.25, 0.5, 1.0)
FIRST = np.datetime64("2018-01-01T00:00:00")
SECONDS = 6 * 365 * 86_400
NUMBERS = {
    "age": ("years", 18, 95), "glucose": ("mg/dL", 60, 400), "creatinine": ("umol/L", 40, 400),
    "weight": ("kg", 45, 130), "systolic": ("mmHg", 90, 210), "temperature": ("C", 35, 41),
}  # fmt: skip
PROTOCOL = Protocol.model_validate(
    {
        "name": "scale",
        "title": "Histories at scale",
        "series": [{"name": "t1", "modality": "MR"}],
        "grid": {"spacing_mm": [4, 4, 4], "size": [16, 16, 16]},
        "intensity": {"kind": "percentile", "low": 1, "high": 99},
        "look_back_days": 1825,
        "timezone": "Europe/Berlin",
        "table": [
            {"name": name, "kind": "number", "unit": unit, "low": 0, "high": 500}
            for name, (unit, _, _) in NUMBERS.items()
        ]
        + [
            {"name": "sex", "kind": "category", "categories": ["F", "M"]},
            {"name": "smoker", "kind": "flag"},
        ],
        "tasks": [{"name": "lesion", "question": "Is there a lesion?"}],
    }
)
WORDS = tuple(PROTOCOL.title.lower().split()) + tuple(f"word{number}" for number in range(40))


def main() -> None:
    """Draw and measure each size and form, or, with arguments, read one cohort."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", nargs=3, metavar=("FOLDER", "FORM", "SHARE"))
    parser.add_argument("--read", nargs=2, metavar=("FOLDER", "STUDIES"))
    options = parser.parse_args()
    if options.write:
        folder, form, share = options.write
        _write(Path(folder), form, _sizes(float(share)))
        return
    if options.read:
        folder, studies = options.read
        print(json.dumps(_read(Path(folder), int(studies))))
        return
    runs = [_measured(form, share) for form in ("long", "wide") for share in SHARES]
    result = {
        "command": "python -m benchmarks.history",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, pandas {version('pandas')}",
        "seed": 0,
        "runs": runs,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "history.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "history.md").write_text(_markdown(result))
    print(_markdown(result))


def _read(cohort: Path, n_studies: int) -> dict[str, float]:
    """Read a cohort's records and cut them at every study."""
    start = time.perf_counter()
    records = load_records(cohort, PROTOCOL)
    loaded = time.perf_counter()
    first = FIRST.astype(datetime)
    n_values = n_notes = n_after = 0
    for number in range(n_studies):
        at = first + timedelta(days=365 * 4 + number % 365, seconds=number)
        history = history_at(records, f"P{number:06d}", at, PROTOCOL)
        n_values += sum(value.value is not None for value in history.values)
        n_notes += len(history.notes)
        n_after += history.n_after_scan
    paired = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "cpu_s": round(time.process_time(), 2),
        "read_s": round(loaded - start, 2), "pair_s": round(paired - loaded, 2),
        "peak_gib": round(peak, 2), "values": n_values, "notes_in_histories": n_notes,
        "after_scan": n_after,
    }  # fmt: skip


def _measured(form: str, share: float) -> dict[str, object]:
    """Draw and read, each in its own process: a child's peak memory begins at its parent's."""
    sizes = _sizes(share)
    with tempfile.TemporaryDirectory() as folder:
        _run("--write", folder, form, str(share))
        read = json.loads(_run("--read", folder, str(sizes["studies"])))
    return {"form": form, **sizes, **read}


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.history", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _sizes(share: float) -> dict[str, int]:
    return {name: int(count * share) for name, count in FULL.items()}


def _write(folder: Path, form: str, sizes: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    table = _keys(rng, sizes["rows"], sizes["studies"], "recorded_at")
    draw = {
        name: rng.integers(low * 10, high * 10, sizes["rows"]) / 10
        for name, (_, low, high) in NUMBERS.items()
    } | {
        "sex": rng.choice(["F", "M"], sizes["rows"]),
        "smoker": rng.choice(["yes", "no"], sizes["rows"]),
    }
    if form == "wide":
        for name, values in draw.items():
            table[name] = pd.Series(values).where(rng.random(sizes["rows"]) < 0.5)
    else:
        which = rng.integers(0, len(draw), sizes["rows"])
        table["name"] = np.array(list(draw))[which]
        table["value"] = np.choose(which, [values.astype(str) for values in draw.values()])
    table.to_csv(folder / "tabular.csv", index=False)
    notes = _keys(rng, sizes["notes"], sizes["studies"], "written_at")
    notes["kind"] = rng.choice(["clinic", "referral", "discharge"], sizes["notes"])
    notes["text"] = [
        " ".join(WORDS[place] for place in rng.integers(0, len(WORDS), 165))
        for _ in range(sizes["notes"])
    ]
    notes.to_csv(folder / "notes.csv", index=False)


def _keys(rng: np.random.Generator, count: int, patients: int, column: str) -> pd.DataFrame:
    seconds = rng.integers(0, SECONDS, count).astype("timedelta64[s]")
    ids = np.array([f"P{number:06d}" for number in range(patients)])
    return pd.DataFrame(
        {"patient_id": ids[rng.integers(0, patients, count)], column: (FIRST + seconds).astype(str)}
    )


def _markdown(result: dict[str, object]) -> str:
    lines = [
        "# Histories at scale", "",
        f"`{result['command']}`, seed {result['seed']}, {result['machine']}.", "",
        "| form | table rows | notes | studies | read, s | pair, s | processor, s | the same, us a "
        "record | peak, GiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    runs = result["runs"]
    for run in runs if isinstance(runs, list) else []:
        each = run["cpu_s"] / (run["rows"] + run["notes"]) * 1e6
        lines.append(
            f"| {run['form']} | {run['rows']:,} | {run['notes']:,} | {run['studies']:,} | "
            f"{run['read_s']} | {run['pair_s']} | {run['cpu_s']} | {each:.1f} | {run['peak_gib']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
