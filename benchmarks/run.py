"""All benchmarks that fit in a quarter of an hour on two cores.

make bench
"""

import subprocess
import sys

BENCHMARKS = (
    "benchmarks.calibration",
    "benchmarks.concepts",
    "benchmarks.history",
    "benchmarks.invariance",
    "benchmarks.speed",
    "benchmarks.truth",
    "benchmarks.standing",
)


def main() -> None:
    """Run each in a process of its own, so that none warms another's caches."""
    for name in BENCHMARKS:
        subprocess.run([sys.executable, "-m", name], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
