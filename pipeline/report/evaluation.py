"""An evaluation as a page: tables, reliability diagrams, decision curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import make_folder, write_text
from pipeline.report.page import render
from schemas.evaluation import Evaluation
from schemas.metrics import (
    AnyMetrics,
    NetBenefit,
    Performance,
    Reliability,
    StepMetrics,
    TaskMetrics,
)

PAGE = "evaluation.html"
DOCUMENT = "evaluation.json"
SIDE = 240.0
"""Of a diagram, in pixels."""
MIN_GROUP, MIN_OF_EACH_ANSWER = 100, 20
"""Cases from which a group has a diagram of its own: ten a bin, and some of each answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """One bin of a reliability diagram, in pixels from the lower left corner."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GroupView:
    """The reliability diagram of one group: a category, a scanner, an absent modality."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task on the page."""

    metrics: TaskMetrics
    points: tuple[Point, ...]
    """Empty where there were too few cases for a diagram."""
    groups: tuple[GroupView, ...]
    """Those with enough cases of each answer."""
    model_line: str
    """Net benefit over thresholds as the points of an SVG line."""
    all_line: str
    """The same of acting on everyone."""


def write_evaluation(out: Path, evaluation: Evaluation) -> Path:
    """Write evaluation.json and evaluation.html; return the page's path.

    Raises
    ------
    UsageError
        If the folder cannot be written to.
    """
    make_folder(out)
    write_text(out / DOCUMENT, evaluation.model_dump_json(indent=2) + "\n")
    write_text(out / PAGE, render_evaluation(evaluation))
    return out / PAGE


@dataclass(frozen=True, slots=True)
class StepView:
    """One task of several classes, levels or horizons on the page."""

    steps: StepMetrics
    points: tuple[tuple[Point, ...], ...]
    """For each question; empty where there were too few cases for a diagram."""


def render_evaluation(evaluation: Evaluation) -> str:
    """Return the whole page."""
    return render(
        "evaluation.html.j2",
        evaluation=evaluation,
        views=[_view(metrics) for metrics in evaluation.tasks],
        side=SIDE,
    )


def _view(metrics: AnyMetrics) -> TaskView | StepView:
    if isinstance(metrics, StepMetrics):
        return StepView(metrics, tuple(_points(asked.reliability) for asked in metrics.questions))
    curve = metrics.whole.net_benefit
    top = max([metrics.whole.n_events / metrics.whole.n_cases, 0.01])
    return TaskView(
        metrics=metrics,
        points=_points(metrics.whole.reliability),
        groups=tuple(_group(part) for part in metrics.groups if _is_large(part)),
        model_line=_line(curve, [point.model for point in curve], top),
        all_line=_line(curve, [point.all for point in curve], top),
    )


def _is_large(group: Performance) -> bool:
    rarer = min(group.n_events, group.n_cases - group.n_events)
    return group.n_cases >= MIN_GROUP and rarer >= MIN_OF_EACH_ANSWER


def _group(group: Performance) -> GroupView:
    name = f"{group.group} ({group.n_cases} cases, {group.n_events} positive)"
    return GroupView(name, _points(group.reliability))


def _points(held: Reliability | None) -> tuple[Point, ...]:
    if held is None:
        return ()
    return tuple(
        Point(
            x=bin_.predicted * SIDE, y=(1.0 - bin_.observed) * SIDE, low=(1.0 - bin_.lower) * SIDE,
            high=(1.0 - bin_.upper) * SIDE,
        )
        for bin_ in held.bins
    )  # fmt: skip


def _line(curve: Sequence[NetBenefit], values: Sequence[float], top: float) -> str:
    """Place values from -top / 4 to top on the diagram's height; what falls below is cut off."""
    low = -top / 4.0
    return " ".join(
        f"{point.threshold * SIDE:.1f},{(top - max(value, low)) / (top - low) * SIDE:.1f}"
        for point, value in zip(curve, values, strict=True)
    )
