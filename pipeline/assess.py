"""One study to one report: the only file that composes the stages for a case."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pipeline.bundle import Bundle
from pipeline.calibration import doubt_issues
from pipeline.case import Case
from pipeline.case_answer import CaseReading
from pipeline.code_version import code_sha256
from pipeline.cohort import Cohort, read_case
from pipeline.errors import UsageError
from pipeline.heatmap import Heatmap
from pipeline.inputs import main_volume, model_input
from pipeline.report import read_report, study_folder_name, write_report
from pipeline.unlike import header_issues, unlike_training
from pipeline.volume import Volume
from schemas.history import History
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.metrics import TaskMetrics
from schemas.protocol import Protocol
from schemas.report import HistoryUse, Risk, RiskReport, RunIdentity
from schemas.series import Study

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "monai", "transformers", "pydicom", "numpy")
NOT_ASSESSED = "no result was given"


@dataclass(frozen=True, slots=True, eq=False)
class Assessor:
    """A cohort read with a bundle, and where its reports go.

    Parameters
    ----------
    cohort
        Opened with the protocol in force.
    bundle
        Its protocol is the one in force; see :func:`pipeline.bundle.with_policy`.
    out
        The batch's folder; reports lie in ``studies/<study_uid>/``.
    """

    cohort: Cohort
    bundle: Bundle
    out: Path

    def assess(self, study: Study) -> tuple[RiskReport, bool]:
        """Assess one study, or take its report of an earlier run over the same inputs.

        Returns
        -------
        report
            Also on disk.
        is_reused
            Whether an earlier run had already made it from the same inputs.
        """
        history = self.cohort.history(study)
        run = self._run(study, history)
        folder = self._folder(study)
        earlier = read_report(folder)
        if earlier is not None and earlier.run.key == run.key:
            return earlier, True
        report, volume, heatmaps = self._report(study, history, run)
        write_report(folder, report, volume=volume, heatmaps=heatmaps)
        return report, False

    def failed(self, study: Study, kind: str) -> RiskReport:
        """Write a report that says that the assessment failed; the next run tries again.

        Where not even that can be written, the report is returned for the index all the same.

        Parameters
        ----------
        kind
            The type of the fault.
        """
        message = f"the assessment stopped on a fault of the program ({kind}); see faults.log"
        issue = Issue(code=IssueCode.ASSESSMENT_FAILED, severity=Severity.ERROR, message=message)
        # Whatever raised may raise again, so nothing of the study is read here.
        history = History(at=None)
        run = self._run(study, history).model_copy(update={"key": ""})
        report = self._bare_report(study, Case(study.study_uid, {}, history), run)
        report = _with(report, issues=(issue,), status="refused")
        try:
            write_report(self._folder(study), report, volume=None, heatmaps={})
        except (OSError, UsageError):
            logger.warning("the report of a failed study could not be written")
        return report

    def _folder(self, study: Study) -> Path:
        return self.out / "studies" / study_folder_name(study.study_uid)

    def _run(self, study: Study, history: History) -> RunIdentity:
        history_sha256 = hashlib.sha256(history.model_dump_json().encode()).hexdigest()
        identity = self.bundle.identity
        libraries = {name: version(name) for name in LIBRARIES}
        parts = [
            study.content_sha256, study.study_uid, history_sha256, identity.sha256,
            identity.protocol_sha256, version("synopt"), code_sha256(), libraries,
        ]  # fmt: skip
        return RunIdentity(
            key=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
            images_sha256=study.content_sha256,
            history_sha256=history_sha256,
            synopt_version=version("synopt"),
            libraries=libraries,
        )

    def _report(
        self, study: Study, history: History, run: RunIdentity
    ) -> tuple[RiskReport, Volume | None, Mapping[str, Heatmap]]:
        case = read_case(self.cohort, study, history)
        blank = self._bare_report(study, case, run)
        issues = (*case.issues, *_nothing_to_read(case))
        volume = main_volume(case, self.bundle.protocol)
        if not is_readable(study, case):
            return _with(blank, issues=issues, status="refused"), volume, {}
        if has_errors(issues):
            return _with(blank, issues=issues, status="withheld"), volume, {}
        inputs = self.bundle.encoded(
            model_input(
                case, self.bundle.protocol, self.bundle.text_encoder, self.bundle.table_transform
            )
        )
        output = self.bundle.predict([inputs])
        issues = (
            *issues,
            *unlike_training(self.bundle, output, inputs, case),
            *header_issues(self.bundle, study, case),
            *doubt_issues(self.bundle.metrics, self.bundle.calibrators),
        )
        if has_errors(issues):
            return _with(blank, issues=issues, status="withheld"), volume, {}
        reading = CaseReading(self.bundle, inputs, history, volume)
        risks, heatmaps = reading.answer(output, blank.risks)
        report = _with(blank, issues=issues, status="assessed").model_copy(update={"risks": risks})
        return report, volume, heatmaps

    def _bare_report(self, study: Study, case: Case, run: RunIdentity) -> RiskReport:
        """Return the report with all that is known before the network is asked."""
        protocol = self.bundle.protocol
        prevalence = {
            metrics.task: metrics.train_prevalence
            for metrics in self.bundle.metrics
            if isinstance(metrics, TaskMetrics)
        }
        return RiskReport(
            study_uid=study.study_uid,
            patient_id=study.patient_id,
            acquired_at=study.acquired_at,
            created_at=datetime.now(UTC),
            status="refused",
            bundle=self.bundle.identity,
            protocol_title=protocol.title,
            issues=(),
            risks=tuple(
                Risk(
                    task=task.name, question=task.question,
                    train_prevalence=prevalence.get(task.name), heatmap_reason=NOT_ASSESSED,
                )
                for task in protocol.tasks
            ),
            series=case.series,
            history=_history_use(case.history, protocol),
            run=run,
        )  # fmt: skip


def _with(report: RiskReport, *, issues: tuple[Issue, ...], status: str) -> RiskReport:
    return report.model_copy(update={"issues": issues, "status": status})


def is_readable(study: Study, case: Case) -> bool:
    """Say whether ingest stands by any image; a rule may have admitted what it refused at first."""
    is_usable = bool(case.volumes) or any(series.is_usable for series in study.series)
    return is_usable and not has_errors(study.issues)


def _nothing_to_read(case: Case) -> tuple[Issue, ...]:
    if not case.is_empty:
        return ()
    message = "the study has no image that the protocol asks for, and the patient no history"
    return (Issue(code=IssueCode.NOTHING_TO_READ, severity=Severity.ERROR, message=message),)


def _history_use(history: History, protocol: Protocol) -> HistoryUse:
    missing = tuple(value.name for value in history.values if value.value is None)
    return HistoryUse(
        cut_at=history.at,
        look_back_days=protocol.look_back_days,
        n_values=len(history.values) - len(missing),
        missing=missing,
        unsaid=tuple(concept.name for concept in history.concepts if concept.value is None),
        n_notes=len(history.notes),
        n_after_scan=history.n_after_scan,
        n_too_old=history.n_too_old,
    )
