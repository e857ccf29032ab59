"""Mutated files, read in a child process that may not grow, hang or die.

    python -m tests.pipeline.ingest.fuzz SEED FIRST COUNT FOLDER

reads COUNT mutants, numbered from FIRST, of the files in FOLDER one after another, each under an
alarm, and prints one line for each: its number, a space, and its outcome.
"""

import io
import resource
import signal
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

from pipeline.errors import GeometryError, IngestError
from pipeline.ingest import discover, load_volume

MAX_MEMORY_BYTES = 2**30
"""That a mutant may take above what is there before the first."""
MAX_SECONDS = 20
N_NEIGHBOURS = 3

Mutate = Callable[[bytes, np.random.Generator], bytes]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    reach = len(changed) if rng.random() < 0.3 else min(len(changed), 1600)
    for place in rng.integers(0, reach, int(rng.integers(1, 20))):
        changed[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def wrong_vr_or_length(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite the representation and length of an element that looks like one."""
    starts = [
        at
        for at in range(132, min(len(content) - 12, 1600))
        if content[at + 4 : at + 6].isalpha() and content[at + 4 : at + 6].isupper()
    ]
    if not starts:
        return truncate(content, rng)
    changed = bytearray(content)
    at = int(rng.choice(starts))
    vrs = (b"SQ", b"UN", b"OB", b"UT", b"DS", b"US", b"FD", b"AT", b"PN", b"ZZ", b"\0\0")
    changed[at + 4 : at + 6] = vrs[int(rng.integers(0, len(vrs)))]
    lengths = (0, 1, 3, 0xFFFE, 0xFFFF, int(rng.integers(0, 2**16)))
    struct.pack_into("<H", changed, at + 6, lengths[int(rng.integers(0, len(lengths)))])
    return bytes(changed)


def absurd_size(content: bytes, rng: np.random.Generator) -> bytes:
    """Claim huge numbers of rows, columns, frames or bits, or an element of 4 GiB."""
    changed = bytearray(content)
    for tag in (b"\x28\x00\x10\x00US", b"\x28\x00\x11\x00US", b"\x28\x00\x00\x01US"):
        at = content.find(tag)
        if at >= 0 and rng.random() < 0.7:
            value = (0, 1, 0x7FFF, 0xFFFF)[int(rng.integers(0, 4))]
            struct.pack_into("<H", changed, at + 8, value)
    if rng.random() < 0.5:
        frames = b"\x28\x00\x08\x00IS\x0a\x002147483647"[:18]
        at = content.find(b"\x28\x00\x10\x00US")
        changed[at:at] = frames if at >= 0 else b""
    if rng.random() < 0.3:
        changed[132:132] = b"\x02\x00\x02\x01OB\0\0" + struct.pack("<L", 0xFFFFFFF0)
    at = bytes(changed).find(b"\xe0\x7f\x10\x00O")
    if at >= 0 and rng.random() < 0.5:
        struct.pack_into("<L", changed, at + 8, int(rng.integers(0, 2**32)))
    return bytes(changed)


def deep_nesting(content: bytes, rng: np.random.Generator) -> bytes:
    """Put sequences inside sequences before the pixels: of undefined or of exact length."""
    depth = int(rng.choice([10, 100, 1000, 20_000]))
    tag = (b"\x08\x00\x40\x11", b"\x00\x52\x30\x92", b"\x04\x00\x20\x12")[int(rng.integers(0, 3))]
    if rng.random() < 0.5:
        nest = (tag + b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff") * depth
        if rng.random() < 0.5:
            nest += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    else:
        nest = b""
        for _ in range(min(depth, 1000)):
            item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(nest)) + nest
            nest = tag + b"SQ\0\0" + struct.pack("<L", len(item)) + item
    at = max(content.find(b"\x08\x00\x60\x00CS"), 132)
    return content[:at] + nest + content[at:]


def zip_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """Pack images that unpack to much more, several levels deep."""
    n_zeros = int(rng.choice([10**6, 3 * 10**7]))
    packed = content + bytes(n_zeros)
    for _ in range(int(rng.integers(1, 6))):
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(int(rng.integers(1, 4))):
                archive.writestr(f"{number}", packed)
        packed = whole.getvalue()
    return flip_bits(packed, rng) if rng.random() < 0.5 else packed


def zip_slip(content: bytes, rng: np.random.Generator) -> bytes:
    whole = io.BytesIO()
    names = (
        "../../fuzz",
        "/fuzz",
        "..\\fuzz",
        "a/../../fuzz",
        "C:\\fuzz",
        "a\0b",
        "\xff" * 300,
    )
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in rng.choice(names, 3, replace=False):
            archive.writestr(str(name), content)
    packed = bytearray(whole.getvalue())
    if rng.random() < 0.5:  # sizes, offsets and counts of the directory
        at = int(rng.integers(max(0, len(packed) - 300), len(packed) - 4))
        packed[at : at + 4] = rng.bytes(4)
    return bytes(packed)


MUTATIONS: tuple[Mutate, ...] = (
    truncate, flip_bits, wrong_vr_or_length, absurd_size, deep_nesting, zip_bomb, zip_slip,
)  # fmt: skip


def mutant(seed: int, number: int, sources: list[bytes]) -> bytes:
    """Make one mutant; the kinds take turns."""
    rng = np.random.default_rng((seed, number))
    content = sources[int(rng.integers(0, len(sources)))]
    return MUTATIONS[number % len(MUTATIONS)](content, rng)


def outcome(folder: Path) -> str:
    """Read everything in a folder; say how it went, or raise what never may be raised."""
    inventory = discover(folder)
    codes = {item.issue.code for item in inventory.skipped}
    n_read = 0
    for series in (series for study in inventory.studies for series in study.series):
        codes |= {issue.code for issue in series.issues}
        if not series.is_usable:
            assert series.issues, "a series was refused without a reason"
            continue
        try:
            load_volume(folder, series)
            n_read += 1
        except IngestError as error:
            codes.add(error.code)
        except GeometryError:
            codes.add("geometry")
    assert n_read or codes, "neither read nor refused"
    return f"{n_read} read {','.join(sorted(codes))}"


def on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def say(text: str) -> None:
    """Write at once, so that the last words of a process that dies are known."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main(seed: int, first: int, count: int, folder: Path) -> None:
    """Read mutants until one breaks a bound; the last line printed names it."""
    sources = [path.read_bytes() for path in sorted(folder.iterdir())]
    before = _memory("VmRSS")
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # Threads take 8 MiB of stack each, and allocators 64 MiB of address each, without using it.
    resource.setrlimit(resource.RLIMIT_AS, (here + MAX_MEMORY_BYTES + 2**30,) * 2)
    signal.signal(signal.SIGALRM, on_alarm)
    for number in range(first, first + count):
        say(f"{number} ")
        with tempfile.TemporaryDirectory() as scratch:
            for index in range(N_NEIGHBOURS):
                (Path(scratch) / f"{index}").write_bytes(sources[index])
            (Path(scratch) / "mutant").write_bytes(mutant(seed, number, sources))
            signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
            result = outcome(Path(scratch))
            signal.setitimer(signal.ITIMER_REAL, 0)
        say(f"{result}\n")
    say(f"peak {_memory('VmHWM') - before}\n")


def _memory(field: str) -> int:
    """Return a size of this process alone; ru_maxrss would begin with that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
