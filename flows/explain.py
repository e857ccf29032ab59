"""`synopt explain`: one study's image by another method, beside the report's own map."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.options import (
    BundleFolder,
    OutFolder,
    Quiet,
    RecordsUrl,
    SiteProtocolFile,
    check_folders,
    say,
)


def explain(  # noqa: PLR0913, PLR0917
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID, as in index.html.")],
    cohort: Annotated[Path, typer.Option("--cohort", help="Cohort folder that holds it.")],
    bundle: BundleFolder,
    method: Annotated[
        Literal["occlusion", "integrated_gradients", "grad_cam", "hires_cam"],
        typer.Option(help="How."),
    ],
    out: OutFolder,
    protocol: SiteProtocolFile = None,
    records: RecordsUrl = "",
    quiet: Quiet = False,
) -> None:
    """Explain one study's image by another method, and say how far it agrees with the report."""
    check_folders(cohort, bundle)
    from flows.progress import progress_bars  # noqa: PLC0415
    from pipeline.bundle import load_bundle, with_policy  # noqa: PLC0415
    from pipeline.cohort import open_cohort  # noqa: PLC0415
    from pipeline.explain_study import NAME, explain_study  # noqa: PLC0415
    from pipeline.protocol import read_protocol  # noqa: PLC0415

    loaded = load_bundle(bundle)
    if protocol is not None:
        loaded = with_policy(loaded, read_protocol(protocol))
    with progress_bars(quiet=quiet) as progress:
        opened = open_cohort(cohort, loaded.protocol, database=records, progress=progress)
        found = explain_study(opened, loaded, study_uid, method, out, progress=progress)
    for task in found.tasks:
        alike = "none" if task.rank_correlation is None else f"{task.rank_correlation:.2f}"
        apart = (
            "" if task.peak_distance_mm is None else f", peaks {task.peak_distance_mm:.0f} mm apart"
        )
        say(f"{task.task}: rank correlation with the report's map {alike}{apart}", quiet=quiet)
    say(f"Explanation: {(out / NAME).absolute()}", quiet=quiet)
