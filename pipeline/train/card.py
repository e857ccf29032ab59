"""The model card: what a bundle is, how it was made, how well it did, what it must not do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.bundle import LEAKS, SPLITS, Bundle
from schemas.base import FrozenModel
from schemas.calibration import Calibrator, NestedLoss
from schemas.leaks import LeakReport
from schemas.maps import MapProof, MapProofs
from schemas.metrics import (
    AnyMetrics,
    ClassSetResult,
    ConformalResult,
    Interval,
    Performance,
    StepMetrics,
    TaskMetrics,
)
from schemas.protocol import Protocol
from schemas.splits import SplitRecord
from schemas.task import GOAL_NAMES

_COVERAGE = "coverage of negatives / positives"


@dataclass(frozen=True, slots=True)
class Making:
    """How a bundle came about: sizes of its parts, who was where, what the guard saw."""

    sizes: Mapping[str, int]
    split: SplitRecord
    leaks: LeakReport

    def records(self) -> Mapping[str, FrozenModel]:
        """Return what the bundle keeps of it, by file name."""
        return {SPLITS: self.split, LEAKS: self.leaks}


def model_card(bundle: Bundle, making: Making) -> str:
    """Return the card as Markdown."""
    protocol = bundle.protocol
    origin = (
        "**Trained on simulated data. Its numbers say nothing about real patients.**"
        if protocol.is_simulated
        else "Trained on the cohort that its owner named; see the protocol."
    )
    questions = "\n".join(f"- `{task.name}`: {task.question}" for task in protocol.tasks)
    return f"""# {protocol.title}

Decision support for research; not a medical device.

{origin}

## Questions

{questions}

## Made of

{_made_of(bundle, making)}

## Leak guard

{_guard(making.leaks)}

## Test patients

{_results(bundle.metrics)}

## Maps

{_maps(bundle.maps)}

## Limits

Cases unlike the training cases are flagged by the distance of their image features and by the range
of spacing, extent and table values; that check is not proof that a case is alike.
"""


def _made_of(bundle: Bundle, making: Making) -> str:
    grid, encoder = bundle.protocol.grid, bundle.text_encoder
    parts = ", ".join(f"{name} {count}" for name, count in making.sizes.items())
    return f"""\
- image encoder: {bundle.identity.image_encoder}, grid {grid.size} at {grid.spacing_mm} mm
- text encoder: {encoder.name} ({_tuning(bundle.protocol)}), SHA-256 {encoder.sha256}
- networks: {_networks(bundle)}
- cases: {parts}; parts are by patient ({making.split.by}), seed {making.split.seed}; who was
  where, as hashes, is in {SPLITS}
- calibration: {_calibration(bundle)}"""


def _tuning(protocol: Protocol) -> str:
    epochs = protocol.training.notes_epochs
    learned = f"{epochs} epochs on the train part's notes, then " if epochs else ""
    return learned + protocol.model.text_tuning


def _networks(bundle: Bundle) -> str:
    if len(bundle.networks) == 1:
        return "1"
    return (
        f"{len(bundle.networks)}, each on a bootstrap of the training patients; their mean counts"
    )


def _results(metrics: Sequence[AnyMetrics]) -> str:
    binary = [task for task in metrics if isinstance(task, TaskMetrics)]
    others = [_steps(task) for task in metrics if isinstance(task, StepMetrics)]
    parts = ["Nothing was fitted on them. 95 % intervals by patient bootstrap."]
    doubts = [f"- `{task.task}`: {doubt.words}" for task in metrics for doubt in task.doubts]
    if doubts:
        parts.append("**Doubts, which every report repeats:**\n\n" + "\n".join(doubts))
    return "\n\n".join([*parts, *others, *([_binary(binary)] if binary else [])])


def _binary(metrics: Sequence[TaskMetrics]) -> str:
    rows = "\n".join(_row(task) for task in metrics)
    calibration_rows = "\n".join(_calibration_row(task) for task in metrics)
    group_rows = "\n".join(_group_row(task.task, part) for task in metrics for part in task.groups)
    return f"""\
| task | cases | events | AUROC | Brier | log loss | uncalibrated | prevalence alone |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

| task | slope | observed / expected | ECE (of a perfect model) | {_COVERAGE} | set size |
| --- | --- | --- | --- | --- | --- |
{calibration_rows}

{promises(metrics)}## Groups

| task | group | cases | events | AUROC | calibration slope | observed / expected | sets hold |
| --- | --- | --- | --- | --- | --- | --- | --- |
{group_rows}"""


def promises(metrics: Sequence[TaskMetrics]) -> str:
    """Return what the promised thresholds did; empty if none was asked for."""
    rows = [
        _line(
            task.task, f"{one.threshold:.3f}",
            f"{GOAL_NAMES[one.goal]} of at least {one.at_least:.0%}",
            f"{one.n_right} of {one.n_cases}", f"{one.share:.3f}",
            f"{one.lower:.3f} to {one.upper:.3f}",
        )
        for task in metrics
        for one in task.operating
    ]  # fmt: skip
    if not rows:
        return ""
    head = "| task | threshold | promised | cases | found | 95 % bounds |\n" + "| --- " * 6 + "|"
    return "\n".join([head, *rows, "", ""])


def _steps(metrics: StepMetrics) -> str:
    """Return the section of a task of several classes, levels or horizons."""
    whole, kept = metrics.whole, metrics.whole.conformal
    more = "".join(
        f", {name} {in_interval(value)}"
        for name, value in (("quadratic kappa", whole.kappa), ("concordance", whole.concordance))
        if value is not None
    )
    sets = ""
    if kept is not None:
        cover = " / ".join("-" if x is None else f"{x:.2f}" for x in kept.by_class)
        sets = f"\n\nSets: coverage by class {cover}, mean size {kept.mean_size:.2f}."
    rows = "\n".join(
        _line(
            asked.group, asked.n_cases, asked.n_events, f"{share:.3f}", in_interval(asked.auroc),
            in_interval(asked.slope), in_interval(asked.observed_to_expected),
        )
        for asked, share in zip(metrics.questions, question_shares(metrics), strict=True)
    )  # fmt: skip
    groups = "\n".join(
        _line(part.group, part.n_cases, part.n_events, in_interval(part.auroc),
              in_interval(part.log_loss), _held(part.conformal))
        for part in metrics.groups
    )  # fmt: skip
    brier = {"ordinal": "ranked probability score"}.get(metrics.kind, "Brier")
    return f"""### {metrics.task} ({metrics.kind})

{whole.n_cases} cases, {whole.n_events} events; mean AUROC {in_interval(whole.auroc)}, {brier}
{in_interval(whole.brier)}, log loss {in_interval(whole.log_loss)} (uncalibrated
{metrics.log_loss_uncalibrated:.3f}, training shares alone {metrics.prevalence_log_loss:.3f}){more}.

| question | cases | yes | training share | AUROC | slope | observed / expected |
| --- | --- | --- | --- | --- | --- | --- |
{rows}{sets}

| group | cases | events | mean AUROC | log loss | sets hold |
| --- | --- | --- | --- | --- | --- |
{groups}"""


def question_shares(metrics: StepMetrics) -> tuple[float, ...]:
    """Return the share of a yes to each question among the training cases."""
    shares = metrics.train_shares
    if metrics.kind == "ordinal":
        return tuple(sum(shares[place:]) for place in range(1, len(shares)))
    return shares


def _maps(proofs: MapProofs | None) -> str:
    if proofs is None:
        return "**Never proved.** Each is tested on its own case alone."
    return "\n\n".join(_proof(proof) for proof in proofs.tasks)


def _proof(proof: MapProof) -> str:
    said = {"passed": "passed", "failed": "**failed**, so no report shows any",
            "too_few": "**not proved**, so no report shows any"}[proof.status]  # fmt: skip
    rows = "\n".join(
        _line(
            figure.meaning, figure.n_cases, "-" if figure.value is None else f"{figure.value:.3g}",
            f"at {'least' if figure.is_floor else 'most'} {figure.bound:g}",
            "yes" if figure.holds else "**no**",
        )
        for figure in proof.figures
    )  # fmt: skip
    few = f" {proof.reasons[0]}." if proof.status == "too_few" else ""
    least = ""
    if proof.n_without:
        least = (
            f": a scan without the finding does so at most once in {proof.once_in} times "
            f"({proof.n_without} such scans)"
        )
    return f"""### Maps of {proof.task}: {said}

{proof.n_cases} test cases with an image; {proof.n_tested} have a map that claims a log-odds or
more.{few} To point at a place, a map must claim {proof.least_claim:.2g} log-odds{least}.

| measured | cases | found | must be | holds |
| --- | --- | --- | --- | --- |
{rows}"""


def _guard(leaks: LeakReport) -> str:
    if not leaks.is_checked:
        return "**Off. Nothing is known of leaks between the parts.**"
    closest = "none" if leaks.closest_images is None else f"{leaks.closest_images:.3f}"
    return f"""Found no leak, or there would be no bundle; all numbers are in {LEAKS}.

- patients: {sum(leaks.n_patients.values())}, none in two parts
- images compared: {leaks.n_images}; closest pair of two parts correlates {closest}, allowed is less
  than {leaks.image_limit}
- notes: {leaks.n_notes}, of which {leaks.n_notes_compared} have enough words of their own to be
  compared; closest pair of two parts shares {leaks.closest_notes:.3f}, allowed is less than
  {leaks.note_limit}
- label words: found in no note of the look-back"""


def _calibration(bundle: Bundle) -> str:
    maps = ", ".join(
        f"{known.task} by {known.map.method.replace('_', ' ')}" for known in bundle.calibrators
    )
    losses = "".join(
        f"\n  - {known.task}: {nested_in_words(known.nested)}"
        for known in bundle.calibrators
        if isinstance(known, Calibrator)
    )
    return f"{maps}, on the calibration part; thresholds on the conformal part{losses}"


def nested_in_words(nested: NestedLoss | None) -> str:
    """Say what choice and fit of a task's map lose together on patients left out of both."""
    if nested is None:
        return "too few calibration patients for a nested cross-validation"
    chosen = ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in Counter(nested.methods).most_common()
    )
    return (
        f"log loss of the procedure by nested cross-validation {nested.log_loss:.3f}, uncalibrated "
        f"{nested.log_loss_uncalibrated:.3f}, {nested.n_cases} cases; chosen in the outer folds: "
        f"{chosen}"
    )


def _row(metrics: TaskMetrics) -> str:
    whole = metrics.whole
    return _line(
        metrics.task, whole.n_cases, whole.n_events, in_interval(whole.auroc),
        in_interval(whole.brier), in_interval(whole.log_loss),
        f"{metrics.log_loss_uncalibrated:.3f}", f"{metrics.prevalence_log_loss:.3f}",
    )  # fmt: skip


def _calibration_row(metrics: TaskMetrics) -> str:
    whole, held, kept = metrics.whole, metrics.whole.reliability, metrics.whole.conformal
    error = "-" if held is None else f"{held.ece:.3f} ({held.ece_of_a_perfect_model:.3f})"
    cover = "-" if kept is None else f"{kept.coverage_negative:.2f} / {kept.coverage_positive:.2f}"
    size = "-" if kept is None else f"{kept.mean_size:.2f}"
    slope, ratio = in_interval(whole.slope), in_interval(whole.observed_to_expected)
    return _line(metrics.task, slope, ratio, error, cover, size)


def _group_row(task: str, group: Performance) -> str:
    return _line(
        task, group.group, group.n_cases, group.n_events, in_interval(group.auroc),
        in_interval(group.slope), in_interval(group.observed_to_expected),
        _held(group.conformal),
    )  # fmt: skip


def _held(result: ConformalResult | ClassSetResult | None) -> str:
    """Return the coverage of the cases of each answer, with its exact bounds."""
    if result is None:
        return "-"
    return "; ".join(
        f"{one.answer}: {one.n_held / one.n_cases:.2f} ({one.lower:.2f} to {one.upper:.2f})"
        for one in result.held
        if one.answer
    )


def _line(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def in_words(metrics: AnyMetrics) -> str:
    """Say in one line how well a task did."""
    whole = metrics.whole
    if isinstance(metrics, StepMetrics):
        words = f"mean AUROC {in_interval(whole.auroc)}, log loss {in_interval(whole.log_loss)}"
    else:
        words = f"AUROC {in_interval(whole.auroc)}, calibration slope "
        words += in_interval(metrics.whole.slope)
    return f"{words}, {whole.n_cases} cases"


def maps_in_words(proofs: MapProofs | None) -> list[str]:
    """Say in a line for each task whether its maps are proved."""
    if proofs is None:
        return ["maps: never proved"]
    return [
        f"{proof.task}: maps {proof.status.replace('_', ' ')}, {proof.n_tested} of "
        f"{proof.n_cases} cases tested"
        for proof in proofs.tasks
    ]


def in_interval(interval: Interval | None) -> str:
    """Return a statistic with its interval as text; a dash where it is undefined."""
    if interval is None:
        return "-"
    return f"{interval.value:.3f} ({interval.lower:.3f} to {interval.upper:.3f})"
