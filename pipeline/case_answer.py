"""All tasks' answers of one case, with their evidence and maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.answer import answered, estimate, with_heatmap
from pipeline.bundle import Bundle, least_claims_of
from pipeline.calibration import value_of
from pipeline.errors import GeometryError
from pipeline.explain import (
    Record,
    Told,
    ask,
    deletion_of,
    evidence_of,
    heatmaps_of,
    judged,
    refusal,
    what_if_of,
    with_each_left_out,
    words_of,
)
from pipeline.heatmap import Heatmap
from pipeline.inputs import read_notes
from pipeline.model.heads import task_steps
from pipeline.model.image_encoder import token_mask
from pipeline.model.text_encoder import remembered_phrases
from pipeline.preprocess import TableTransform, table_input
from pipeline.shown import Shown, shown_of
from pipeline.step_answer import step_answer, step_estimate
from pipeline.tensors import ModelInput, ModelOutput, TextInput
from pipeline.volume import Volume
from schemas.calibration import Calibrator, StepCalibrator
from schemas.history import History, Note
from schemas.maps import MapCheck
from schemas.metrics import StepMetrics
from schemas.prediction import RiskEstimate, StepAnswer
from schemas.report import Risk

NO_IMAGE = "the model read no image of this study"


@dataclass(frozen=True, slots=True, eq=False)
class CaseReading:
    """One case as a bundle reads it.

    Parameters
    ----------
    history
        What its tables and notes were made of.
    volume
        The one on whose grid heatmaps lie; None without an image.
    """

    bundle: Bundle
    inputs: ModelInput
    history: History
    volume: Volume | None

    def answer(
        self, output: ModelOutput, blanks: Sequence[Risk]
    ) -> tuple[tuple[Risk, ...], Mapping[str, Heatmap]]:
        """Return each task's answer, and the heatmaps that stood their test, by task.

        Parameters
        ----------
        output
            Of this case alone.
        blanks
            The report's entries, one a task, to be filled in.
        """
        answers = step_answers(self.bundle, output, self.inputs)
        shown = shown_of(self.bundle, answers)
        spoken_of = shown.contrasted(output)
        maps = self._maps(spoken_of, shown)
        whole = shown.log_odds(output, [self.inputs])[0]
        told = ask(shown.read, record_of(self.bundle, self.inputs, self.history), whole)
        risks = []
        for number, (blank, found) in enumerate(
            zip(blanks, self._estimates(spoken_of, answers, told), strict=True)
        ):
            calibrator, task = self.bundle.calibrators[number], blank.task
            risk = with_heatmap(
                answered(blank, found, calibrator, self.inputs.present),
                maps.shown.get(task), maps.reasons[task], self.volume, maps.checks.get(task),
                None if self.bundle.maps is None else self.bundle.maps.of(task),
            )  # fmt: skip
            what_if = what_if_of(told, number, maps.painted.get(task))
            risks.append(risk.model_copy(update={"what_if": what_if}))
        return tuple(risks), maps.shown

    def _estimates(
        self, output: ModelOutput, answers: Sequence[StepAnswer | None], told: Told
    ) -> list[RiskEstimate]:
        protocol, estimates = self.bundle.protocol, []
        for number, (calibrator, answer) in enumerate(
            zip(self.bundle.calibrators, answers, strict=True)
        ):
            logit, present = float(output.logits[0, number]), self.inputs.present
            parts = evidence_of(output, number, self.inputs, self.history, protocol)
            evidence = with_each_left_out(parts, told, number)
            if isinstance(calibrator, StepCalibrator) and answer is not None:
                task = protocol.tasks[number]
                found = step_estimate(task, calibrator, answer, logit, present, evidence)
                estimates.append(found)
            elif isinstance(calibrator, Calibrator):
                members = output.each_member[:, 0, number].double().cpu().numpy()
                value = value_of(protocol.tasks[number], self.history)
                found = estimate(calibrator, logit, members, present, evidence, value)
                estimates.append(found)
        return estimates

    def _maps(self, output: ModelOutput, shown: Shown) -> "_Maps":
        """Test each task's map on this case, and lay those that passed on the scanner's grid."""
        tasks = tuple(task.name for task in self.bundle.protocol.tasks)
        image = self.inputs.image
        if image is None or self.volume is None:
            return _Maps({}, dict.fromkeys(tasks, NO_IMAGE), {}, {})
        found, odds = self._tested(output, shown)
        checks = dict(zip(tasks, found, strict=True))
        reasons = {
            task: refusal(self.bundle.maps, task) or words_of(check)
            for task, check in checks.items()
        }
        scanned = token_mask(image.scanned[None])[0].numpy()
        try:
            maps = heatmaps_of(output, tasks, scanned, image.grid, self.volume.geometry)
        except GeometryError as error:
            return _Maps({}, dict.fromkeys(tasks, str(error)), checks, {})
        stood = {task: map_ for task, map_ in maps.items() if not reasons[task]}
        painted = {
            task: odds[number]
            for number, task in enumerate(tasks)
            if checks[task].points and not reasons[task]
        }
        return _Maps(stood, reasons, checks, painted)

    def _tested(
        self, output: ModelOutput, shown: Shown
    ) -> tuple[tuple[MapCheck, ...], dict[int, float]]:
        """Return each map's test, and the calibrated log-odds with its strongest place painted."""
        deletion = deletion_of(self.inputs, output, least_claims_of(self.bundle))
        if not deletion.cases:
            return judged(deletion, output, None), {}
        after = self.bundle.unsettled(deletion.cases)
        odds = shown.log_odds(after, deletion.cases)
        places = enumerate(deletion.places)
        return judged(deletion, output, shown.contrasted(after)), {
            number: float(odds[place, number]) for number, place in places if place is not None
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Maps:
    """By task.

    Parameters
    ----------
    shown
        The heatmaps that stood their test.
    reasons
        Why there is none; empty where there is one.
    checks
        The tests.
    painted
        Calibrated log-odds with a heatmap's strongest place painted over, of those that are shown
        and point at one.
    """

    shown: Mapping[str, Heatmap]
    reasons: Mapping[str, str]
    checks: Mapping[str, MapCheck]
    painted: Mapping[str, float]


def step_answers(
    bundle: Bundle, output: ModelOutput, inputs: ModelInput
) -> list[StepAnswer | None]:
    """Return a case's probabilities for each task of several outcomes, None for the others."""
    tasks, answers = bundle.protocol.tasks, []
    for number, (calibrator, metrics) in enumerate(
        zip(bundle.calibrators, bundle.metrics, strict=True)
    ):
        answer = None
        if isinstance(calibrator, StepCalibrator) and isinstance(metrics, StepMetrics):
            steps = task_steps(output.logits, output.cuts, tasks, number)[0].double().cpu().numpy()
            answer = step_answer(tasks[number], calibrator, metrics, steps, inputs.present)
        answers.append(answer)
    return answers


def record_of(bundle: Bundle, inputs: ModelInput, history: History) -> Record:
    """Return a case with all that is needed to read it with other facts."""
    transform = bundle.table_transform

    def read_note(note: Note) -> TextInput:
        said = history.model_copy(update={"notes": (note,)})
        text = read_notes(said, bundle.text_encoder, remembered_phrases)
        if text is None:
            msg = "a sentence of the protocol's words holds nothing to read"
            raise ValueError(msg)
        return text

    return Record(
        inputs, history, bundle.protocol, lambda other: table_input(other, transform), read_note,
        usual_numbers(transform),
    )  # fmt: skip


def usual_numbers(transform: TableTransform) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each number among the training patients, by name."""
    return {
        variable.name: (mean, scale)
        for variable, mean, scale in zip(
            transform.variables, transform.means, transform.scales, strict=True
        )
        if variable.kind == "number"
    }
