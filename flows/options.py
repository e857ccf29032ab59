"""What several commands share: their options, their exit codes, and how they speak."""

from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_cache_path
from rich.console import Console

from flows.environment import RECORDS_VARIABLE
from pipeline.errors import UsageError

USER_MISTAKE = 2
SOME_FAILED = 1

CohortFolder = Annotated[Path, typer.Argument(help="Cohort folder, or a bare folder of DICOM.")]
BundleFolder = Annotated[Path, typer.Option("--bundle", help="Folder of a trained bundle.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is written.")]
ProtocolFile = Annotated[Path, typer.Option("--protocol", help="Protocol file (YAML).")]
SiteProtocolFile = Annotated[
    Path | None,
    typer.Option(
        "--protocol",
        help="The bundle's protocol with the site's own assessment, export, identity, sources or "
        "timezone.",
    ),
]
RecordsUrl = Annotated[
    str,
    typer.Option(
        "--records", envvar=RECORDS_VARIABLE, show_default=False,
        help="SQLAlchemy URL of an OMOP database with the records. A password is safer in the "
        "environment variable: other users see a command's options.",
    ),
]  # fmt: skip
CacheFolder = Annotated[
    Path,
    typer.Option(
        "--cache",
        help="Keeps preprocessed images and sentences' features for the next time; holds "
        "patients' images. May be deleted.",
    ),
]
EXAMPLES_CACHE = user_cache_path("synopt") / "examples"
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars, no summary.")]


def say(message: str, *, quiet: bool) -> None:
    """Print a line on standard output."""
    if not quiet:
        Console(soft_wrap=True, highlight=False).print(message, markup=False)


def check_folders(*folders: Path) -> None:
    """Find the commonest mistakes before anything heavy is loaded.

    Raises
    ------
    UsageError
        If one of the folders is not there.
    """
    for path in folders:
        if not path.is_dir():
            msg = f"there is no folder {path}"
            raise UsageError(msg)
