"""The main job: a cohort folder and a bundle to one report a study, and an index of the batch."""

import os
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from rich.console import Console

from flows.environment import RECORDS_VARIABLE
from flows.progress import progress_bars
from pipeline.assess import Assessor
from pipeline.bundle import load_bundle, with_policy
from pipeline.cohort import open_cohort
from pipeline.errors import PipelineError
from pipeline.files import only_run, require_writable
from pipeline.progress import Progress
from pipeline.protocol import read_protocol
from pipeline.report import write_index, write_predictions_csv
from schemas.report import RiskReport
from schemas.run import BatchSummary

RETRIES = 2
RETRY_DELAY_S = 2.0
FAULTS_LOG = "faults.log"


class StudyError(Exception):
    """A fault of the program, without its message: Prefect stores what a task raises.

    Parameters
    ----------
    kind
        The type of the fault.
    may_pass
        Whether another try may do.
    """

    def __init__(self, kind: str, *, may_pass: bool) -> None:
        super().__init__(f"stopped on {kind}")
        self.kind, self.may_pass = kind, may_pass


def tell_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Say why a scheduled run failed: no command line is there to catch its fault."""
    if flow_run.deployment_id is None:
        return
    fault = state.result(raise_on_failure=False)
    is_ours = isinstance(fault, PipelineError)
    why = str(fault) if is_ours else f"it stopped on {type(fault).__name__}"
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"{now}: the scheduled assessment failed: {why}", markup=False
    )


@flow(name="assess-cohort", persist_result=False, on_failure=[tell_of_failure])
def assess_cohort(
    cohort: Path, bundle: Path, out: Path, protocol: Path | None = None, quiet: bool = False
) -> BatchSummary:
    """Assess every study of a cohort that is new or changed, and write the index.

    Paths in, counts out; Prefect's server sees no patient field.
    """
    with progress_bars(quiet=quiet) as progress:
        assessor = prepare(cohort, bundle, out, protocol, progress)
        skipped, title = assessor.cohort.inventory.skipped, assessor.bundle.protocol.title
        with only_run(out, "another assessment"):
            reports, n_reused = _assess_all(assessor, progress)
            write_index(out, reports, title=title, n_reused=n_reused, left_out=skipped)
            write_predictions_csv(out, reports)
    count = Counter(report.status for report in reports)
    summary = BatchSummary(
        n_assessed=count["assessed"],
        n_withheld=count["withheld"],
        n_refused=count["refused"],
        n_reused=n_reused,
        n_skipped_files=len(skipped),
        index=str(out.absolute() / "index.html"),
    )
    if not quiet:
        Console(soft_wrap=True, highlight=False).print(summary.sentence(), markup=False)
    return summary


def prepare(
    cohort: Path, bundle: Path, out: Path, protocol: Path | None, progress: Progress
) -> Assessor:
    """Read bundle and cohort and make the output folder.

    Raises
    ------
    PipelineError
        If any of them cannot be used.
    """
    loaded = load_bundle(bundle)
    if protocol is not None:
        loaded = with_policy(loaded, read_protocol(protocol))
    # Prefect stores a flow's parameters; a URL that may hold a password must not be one.
    database = os.environ.get(RECORDS_VARIABLE, "")
    opened = open_cohort(cohort, loaded.protocol, database=database, progress=progress)
    require_writable(out)
    return Assessor(opened, loaded, out)


def _assess_all(assessor: Assessor, progress: Progress) -> tuple[list[RiskReport], int]:
    """Return all reports and how many of them an earlier run had made."""
    studies = assessor.cohort.inventory.studies

    @task(
        name="assess-study",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES,
        retry_delay_seconds=RETRY_DELAY_S,
        retry_condition_fn=lambda _task, _run, state: _may_pass(state),
    )
    def assess_study(number: int) -> tuple[RiskReport, bool]:
        try:
            return assessor.assess(studies[number])
        except Exception as error:
            _keep_fault(assessor.out, studies[number].study_uid, error)
            raise StudyError(type(error).__name__, may_pass=isinstance(error, OSError)) from None

    reports, n_reused = [], 0
    for number, study in enumerate(studies):
        progress("assessing", number, len(studies))
        try:
            report, is_reused = assess_study(number)
        except StudyError as fault:
            report, is_reused = assessor.failed(study, fault.kind), False
        reports.append(report)
        n_reused += is_reused
    progress("assessing", len(studies), len(studies))
    return reports, n_reused


def _may_pass(state: State[object]) -> bool:
    """Say whether a fault may go away by itself: disk and network, not data."""
    fault = state.result(raise_on_failure=False)
    return isinstance(fault, StudyError) and fault.may_pass


def _keep_fault(out: Path, study_uid: str, error: Exception) -> None:
    """Append the traceback, without the message, which may quote a file, to the batch's log."""
    get_run_logger().error("a study stopped on %s", type(error).__name__)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    lines = traceback.format_tb(error.__traceback__)
    with (out / FAULTS_LOG).open("a", encoding="utf-8") as log:
        log.write(f"{when} study {study_uid}: {type(error).__name__}\n{''.join(lines)}\n")
