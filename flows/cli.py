"""The command line: thin, one function a command, heavy imports only where they are needed."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from pipeline.errors import PipelineError, UsageError

USER_MISTAKE = 2
SOME_FAILED = 1
SAMPLES = Path(__file__).parent.parent / "data_samples"

app = typer.Typer(
    help="Image and history to a calibrated risk report. Research use; not a medical device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)

CohortFolder = Annotated[Path, typer.Argument(help="Cohort folder, or a bare folder of DICOM.")]
BundleFolder = Annotated[Path, typer.Option("--bundle", help="Folder of a trained bundle.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is written.")]
ProtocolFile = Annotated[Path, typer.Option("--protocol", help="Protocol file (YAML).")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars, no summary.")]


def main() -> NoReturn:
    """Run the command line; a user's mistake gives one line and exit code 2."""
    try:
        app()
    except PipelineError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"{error.filename or 'disk'}: {error.strerror or error}")
    raise SystemExit(USER_MISTAKE)


def _complain(message: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"synopt: {' '.join(message.split())}", markup=False)


def _say(message: str, *, quiet: bool) -> None:
    if not quiet:
        Console(soft_wrap=True, highlight=False).print(message, markup=False)


@app.command()
def demo(out: OutFolder = Path("out/demo"), quiet: Quiet = False) -> None:
    """Assess the simulated sample cohort with the bundle that ships."""
    if not (SAMPLES / "bundles" / "brain_mr").is_dir():
        msg = f"the samples are not there: {SAMPLES}; run this from a clone of the repository"
        raise UsageError(msg)
    _assess(SAMPLES / "brain_mr", SAMPLES / "bundles" / "brain_mr", out, None, quiet=quiet)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New cohort folder.")],
    world: Annotated[Literal["brain_mr", "chest_ct"], typer.Option(help="Which world.")],
    cases: Annotated[int, typer.Option(min=1, help="How many studies.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write a simulated cohort whose true risks are known."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.phantom import write_cohort  # noqa: PLC0415

    with progress_bars(quiet=quiet) as progress:
        report = partial(progress, "simulating")
        write_cohort(out, world=world, n_cases=cases, seed=seed, on_progress=report)
    _say(f"Cohort: {out.absolute()}", quiet=quiet)


@app.command()
def ingest(
    folder: Annotated[Path, typer.Argument(help="Any heap of files, folders and zip archives.")],
    out: OutFolder,
    quiet: Quiet = False,
) -> None:
    """Write every CT and MR series that can be proved right as NIfTI, and name all others."""
    from flows.ingest import print_series  # noqa: PLC0415
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.ingest import ingest_folder  # noqa: PLC0415

    with progress_bars(quiet=quiet) as progress:
        report = ingest_folder(folder, out, progress=progress)
    if not quiet:
        print_series(report)
    _say(f"Series: {out.absolute() / 'series.json'}", quiet=quiet)
    if report.n_refused:
        raise typer.Exit(SOME_FAILED)


@app.command()
def train(
    cohort: CohortFolder, protocol: ProtocolFile, out: OutFolder, quiet: Quiet = False
) -> None:
    """Train, calibrate and judge a bundle on a labelled cohort."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415
    from pipeline.train import train_bundle  # noqa: PLC0415

    with progress_bars(quiet=quiet) as progress:
        bundle = train_bundle(cohort, read_protocol(protocol), out, progress=progress)
    for metrics in bundle.metrics:
        auroc = metrics.auroc
        _say(
            f"{metrics.task}: test AUROC {auroc.value:.3f} "
            f"({auroc.lower:.3f} to {auroc.upper:.3f}), {metrics.n_cases} cases",
            quiet=quiet,
        )
    _say(f"Bundle: {out.absolute()}", quiet=quiet)


@app.command()
def assess(
    cohort: CohortFolder,
    bundle: BundleFolder,
    out: OutFolder,
    protocol: Annotated[
        Path | None,
        typer.Option(help="The bundle's protocol with another 'assessment' section."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a report for every study of a cohort that is new or changed."""
    _assess(cohort, bundle, out, protocol, quiet=quiet)


@app.command()
def serve(
    cohort: CohortFolder,
    bundle: BundleFolder,
    out: OutFolder,
    cron: Annotated[str, typer.Option(help="When, as a cron expression.")] = "0 22 * * *",
    timezone: Annotated[str, typer.Option(help="Of the schedule; the machine's if empty.")] = "",
    quiet: Quiet = False,
) -> None:
    """Assess a watched folder on a schedule, until interrupted."""
    _check_paths(cohort, bundle)
    from flows.serve import cron_schedule, serve_assessment  # noqa: PLC0415

    schedule = cron_schedule(cron, timezone)
    _say(f"Watching {cohort.absolute()} at {cron} ({schedule.timezone})", quiet=quiet)
    _say(f"Reports: {out.absolute() / 'index.html'}. Stop with Ctrl-C.", quiet=quiet)
    serve_assessment(cohort, bundle, out, schedule, quiet=quiet)


def _assess(cohort: Path, bundle: Path, out: Path, protocol: Path | None, *, quiet: bool) -> None:
    _check_paths(cohort, bundle)
    from flows.assess import assess_cohort  # noqa: PLC0415

    summary = assess_cohort(cohort, bundle, out, protocol=protocol, quiet=quiet)
    _say(f"Index: {summary.index}", quiet=quiet)
    if summary.n_refused:
        raise typer.Exit(SOME_FAILED)


def _check_paths(cohort: Path, bundle: Path) -> None:
    """Find the commonest mistakes before anything heavy is loaded."""
    for path in (cohort, bundle):
        if not path.is_dir():
            msg = f"there is no folder {path}"
            raise UsageError(msg)
