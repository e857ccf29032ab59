"""`synopt explain`: one study's image by another method, beside the report's own map."""

from pathlib import Path
from typing import Annotated

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
from schemas.explanation import ExplainMethod


def explain(  # noqa: PLR0913, PLR0917
    study_uid: Annotated[str, typer.Argument(help="Study Instance UID, as in index.html.")],
    cohort: Annotated[Path, typer.Option("--cohort", help="Cohort folder that holds it.")],
    bundle: BundleFolder,
    method: Annotated[
        ExplainMethod,
        typer.Option(help="How; attention is raw attention, which is no evidence."),
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
    if found.null_share is not None:
        say(
            "Raw attention, not evidence: where variables and sentences looked, the same for all "
            f"tasks; {found.null_share:.0%} of it went to nothing in the image",
            quiet=quiet,
        )
    for task in found.tasks:
        alike = "none" if task.rank_correlation is None else f"{task.rank_correlation:.2f}"
        apart = (
            "" if task.peak_distance_mm is None else f", peaks {task.peak_distance_mm:.0f} mm apart"
        )
        say(f"{task.task}: rank correlation with the report's map {alike}{apart}", quiet=quiet)
    say(f"Explanation: {(out / NAME).absolute()}", quiet=quiet)
