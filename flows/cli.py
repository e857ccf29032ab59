"""The command line: thin, one function a command, heavy imports only where they are needed."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from flows.environment import RECORDS_VARIABLE
from flows.explain import explain
from flows.options import (
    EXAMPLES_CACHE,
    SOME_FAILED,
    USER_MISTAKE,
    BundleFolder,
    CacheFolder,
    CohortFolder,
    OutFolder,
    ProtocolFile,
    Quiet,
    RecordsUrl,
    SiteProtocolFile,
    check_folders,
    say,
)
from flows.similar import similar
from flows.tune import tune
from pipeline.errors import PipelineError, UsageError
from schemas.metrics import AnyMetrics

SAMPLES = Path(__file__).parent.parent / "data_samples"

app = typer.Typer(
    help="Image and history to a calibrated risk report. Research use; not a medical device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)


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


def _say_doubts(metrics: AnyMetrics, *, quiet: bool) -> None:
    for doubt in metrics.doubts:
        say(f"{metrics.task}: doubt: {doubt.words}", quiet=quiet)


@app.command()
def demo(out: OutFolder = Path("out/demo"), quiet: Quiet = False) -> None:
    """Assess the simulated sample cohort with the bundle that ships."""
    if not (SAMPLES / "bundles" / "brain_mr").is_dir():
        msg = f"the samples are not there: {SAMPLES}; run this from a clone of the repository"
        raise UsageError(msg)
    _assess(SAMPLES / "brain_mr", SAMPLES / "bundles" / "brain_mr", out, None, quiet=quiet)


@app.command()
def phantom(  # noqa: PLR0913, PLR0917
    out: Annotated[Path, typer.Argument(help="New cohort folder.")],
    world: Annotated[Literal["brain_mr", "chest_ct"], typer.Option(help="Which world.")],
    cases: Annotated[int, typer.Option(min=1, help="How many studies.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    interaction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much image and history say only together.")
    ] = 1.0,
    family: Annotated[
        Literal["a", "b"], typer.Option(help="Generator: other sites, words and findings.")
    ] = "a",
    size: Annotated[
        str, typer.Option(help="small, large (512x300), or rows and slices: 256x120.")
    ] = "small",
    quiet: Quiet = False,
) -> None:
    """Write a simulated cohort whose true risks are known."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.phantom import WORLDS, Design, read_size, write_cohort  # noqa: PLC0415
    from pipeline.phantom.truth import cohort_limits, limits_table  # noqa: PLC0415

    design = Design(
        world=WORLDS[world],
        seed=seed,
        interaction=interaction,
        family=family,
        matrix=read_size(size),
    )
    with progress_bars(quiet=quiet) as progress:
        report = partial(progress, "simulating")
        write_cohort(out, design=design, n_cases=cases, on_progress=report)
    say(limits_table(cohort_limits(out)), quiet=quiet)
    say(f"Cohort: {out.absolute()}", quiet=quiet)


@app.command()
def inspect(
    cohort: CohortFolder,
    protocol: ProtocolFile,
    out: OutFolder,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Show what a cohort holds, how it is paired, and what the time rule leaves out."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.cohort import open_cohort  # noqa: PLC0415
    from pipeline.history import has_labels, read_labels  # noqa: PLC0415
    from pipeline.inspect import (  # noqa: PLC0415
        inspect_studies,
        inspection_of,
        write_inspection,
    )
    from pipeline.protocol import read_protocol  # noqa: PLC0415

    rules = read_protocol(protocol)
    with progress_bars(quiet=quiet) as progress:
        opened = open_cohort(cohort, rules, database=records, progress=progress)
        labels = read_labels(cohort, rules) if has_labels(cohort) else None
        studies = inspect_studies(opened, progress=progress)
    page = write_inspection(out, inspection_of(opened, studies, labels), studies, rules)
    say(f"Inspection: {page.absolute()}", quiet=quiet)


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
    say(f"Series: {out.absolute() / 'series.json'}", quiet=quiet)
    if report.n_refused:
        raise typer.Exit(SOME_FAILED)


@app.command()
def train(  # noqa: PLR0913, PLR0917
    cohort: CohortFolder,
    protocol: ProtocolFile,
    out: OutFolder,
    ensemble: Annotated[
        int | None,
        typer.Option(min=1, max=20, help="Networks to train; else what the protocol says."),
    ] = None,
    cache: CacheFolder = EXAMPLES_CACHE,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for training curves; needs synopt[tensorboard].")
    ] = None,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Train, calibrate and judge a bundle on a labelled cohort."""
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415
    from pipeline.train import Keeping, Source, train_bundle  # noqa: PLC0415
    from pipeline.train.card import in_words, maps_in_words  # noqa: PLC0415
    from pipeline.train.processes import is_first, processes  # noqa: PLC0415

    quiet = quiet or not is_first()
    asked = read_protocol(protocol)
    if ensemble is not None:
        training = asked.training.model_copy(update={"ensemble": ensemble})
        asked = asked.model_copy(update={"training": training})
    with progress_bars(quiet=quiet) as progress:
        bundle = train_bundle(
            Source(cohort, records, cache), asked, out, progress=progress,
            keeping=Keeping(curves=tensorboard, tell=partial(say, quiet=quiet)),
        )  # fmt: skip
    for metrics in bundle.metrics:
        say(f"{metrics.task}: test {in_words(metrics)}", quiet=quiet)
        _say_doubts(metrics, quiet=quiet)
    for line in maps_in_words(bundle.maps):
        say(line, quiet=quiet)
    say(f"Bundle: {out.absolute()}", quiet=quiet)
    processes().destroy_process_group()


app.command()(tune)


@app.command()
def evaluate(  # noqa: PLR0913, PLR0917
    cohort: CohortFolder,
    bundle: BundleFolder,
    out: OutFolder,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another bundle of the same tasks; may be repeated.")
    ] = None,
    protocol: SiteProtocolFile = None,
    cache: CacheFolder = EXAMPLES_CACHE,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Judge a bundle on a labelled cohort: by task, group, modality, and against other bundles."""
    check_folders(cohort, bundle, *(against or []))
    from flows.metrics_table import show_evaluation  # noqa: PLC0415
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.files import require_writable  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415
    from pipeline.report.evaluation import write_evaluation  # noqa: PLC0415
    from pipeline.train import Source  # noqa: PLC0415
    from pipeline.train.card import maps_in_words  # noqa: PLC0415
    from pipeline.train.evaluate import evaluate as judge_bundle  # noqa: PLC0415

    rules = None if protocol is None else read_protocol(protocol)
    require_writable(out)
    with progress_bars(quiet=quiet) as progress:
        found = judge_bundle(
            Source(cohort, records, cache), bundle,
            others=against or [], protocol=rules, progress=progress,
        )  # fmt: skip
    show_evaluation(found, quiet=quiet)
    for metrics in found.tasks:
        _say_doubts(metrics, quiet=quiet)
    for line in maps_in_words(found.maps):
        say(line, quiet=quiet)
    say(f"Evaluation: {write_evaluation(out, found).absolute()}", quiet=quiet)


@app.command()
def recalibrate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a trained bundle.")],
    labels: Annotated[Path, typer.Argument(help="The site's labels.csv.")],
    reports: Annotated[Path, typer.Option(help="What assess wrote with this bundle.")],
    out: OutFolder,
    quiet: Quiet = False,
) -> None:
    """Update a bundle's calibration on a site's own outcomes, as a new bundle."""
    check_folders(bundle, reports)
    from pipeline.recalibrate import recalibrate as update  # noqa: PLC0415
    from schemas.calibration import Calibrator  # noqa: PLC0415

    made = update(bundle, labels, reports, out)
    for calibrator in made.bundle.calibrators:
        if isinstance(calibrator, Calibrator):
            site = calibrator.recalibration
            what = f"updated on {site.n_cases} cases" if site else "too few outcomes, as it was"
        else:
            what = "as it was, since only binary tasks are recalibrated"
        say(f"{calibrator.task}: {what}", quiet=quiet)
    if made.n_known:
        left_out = f"{made.n_known} studies of patients who had helped to make the bundle"
        say(f"left out: {left_out}", quiet=quiet)
    say(f"Bundle: {out.absolute()}", quiet=quiet)


@app.command()
def assess(
    cohort: CohortFolder,
    bundle: BundleFolder,
    out: OutFolder,
    protocol: SiteProtocolFile = None,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Write a report for every study of a cohort that is new or changed."""
    _remember(records)
    _assess(cohort, bundle, out, protocol, quiet=quiet)


app.command()(explain)


@app.command()
def serve(  # noqa: PLR0913, PLR0917
    cohort: CohortFolder,
    bundle: BundleFolder,
    out: OutFolder,
    protocol: SiteProtocolFile = None,
    cron: Annotated[str, typer.Option(help="When, as a cron expression.")] = "0 22 * * *",
    timezone: Annotated[str, typer.Option(help="Of the schedule; the machine's if empty.")] = "",
    quiet: Quiet = False,
) -> None:
    """Assess a watched folder on a schedule, until interrupted."""
    check_folders(cohort, bundle)
    from flows.serve import cron_schedule, serve_assessment  # noqa: PLC0415

    schedule = cron_schedule(cron, timezone)
    say(f"Watching {cohort.absolute()} at {cron} ({schedule.timezone})", quiet=quiet)
    say(f"Reports: {out.absolute() / 'index.html'}. Stop with Ctrl-C.", quiet=quiet)
    serve_assessment(cohort, bundle, out, schedule, protocol=protocol, quiet=quiet)


app.command()(similar)


def _assess(cohort: Path, bundle: Path, out: Path, protocol: Path | None, *, quiet: bool) -> None:
    check_folders(cohort, bundle)
    from flows.assess import assess_cohort  # noqa: PLC0415

    summary = assess_cohort(cohort, bundle, out, protocol=protocol, quiet=quiet)
    say(f"Index: {summary.index}", quiet=quiet)
    if summary.n_refused:
        raise typer.Exit(SOME_FAILED)


def _remember(records: str) -> None:
    """Leave the records' URL where the flow finds it, and Prefect does not."""
    if records:
        os.environ[RECORDS_VARIABLE] = records


if __name__ == "__main__":  # torchrun -m flows.cli
    main()
