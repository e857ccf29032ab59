from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.bundle import Bundle
from pipeline.errors import CalibrationError, RecordsError, UsageError
from pipeline.train import Source, labelled
from pipeline.train import evaluate as judging
from pipeline.train.scores import Scores
from schemas.bundle import BundleIdentity
from schemas.calibration import (
    CalibrationMap,
    Calibrator,
    StepCalibrator,
    StepMap,
    SubsetShift,
)
from schemas.evaluation import Comparison
from schemas.protocol import Protocol
from schemas.task import Task
from tests.pipeline.calibration.step_cases import GRADE, KIND, YES
from tests.pipeline.history.malformed import PROTOCOL

IDENTITY = BundleIdentity(
    name="p", sha256="0" * 64, protocol_sha256=PROTOCOL.sha256(), image_encoder="i",
    text_encoder="t", text_sha256="0" * 64, n_train=1, is_simulated=True,
)  # fmt: skip


class Reached(Exception):  # noqa: N818
    """The cohort was to be opened."""


@pytest.fixture
def opened_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Protocol | None], Protocol]:
    """Evaluate a bundle without a network, up to where the cohort is opened."""
    nothing: Any = None
    bundle = Bundle(
        PROTOCOL, nothing, nothing, nothing, calibrators=(), reference=nothing, metrics=(),
        identity=IDENTITY,
    )  # fmt: skip

    def reach(_: Path, protocol: Protocol, **__: object) -> None:
        raise Reached(protocol)

    monkeypatch.setattr(judging, "load_bundle", lambda _: bundle)
    monkeypatch.setattr(labelled, "open_cohort", reach)

    def run(cohort: Path, protocol: Protocol | None) -> Protocol:
        with pytest.raises(Reached) as reached:
            judging.evaluate(Source(cohort), Path("bundle"), protocol=protocol)
        (found,) = reached.value.args
        assert isinstance(found, Protocol)
        return found

    return run


def test_the_sites_own_parts_reach_labels_and_cohort(
    opened_with: Callable[[Path, Protocol | None], Protocol], tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("patient_id,study_uid,lesion\n7,1.2,1\n")
    changes = {"timezone": "Europe/Berlin", "identity": {"match": "normalised"}}
    site = Protocol.model_validate(PROTOCOL.model_dump() | changes)
    assert opened_with(tmp_path, site) == site
    assert opened_with(tmp_path, None) == PROTOCOL
    other = Protocol.model_validate(PROTOCOL.model_dump() | {"export": {"delimiter": ";"}})
    with pytest.raises(RecordsError, match="no column patient_id"):
        opened_with(tmp_path, other)


def test_a_protocol_that_training_did_not_see_is_refused(
    opened_with: Callable[[Path, Protocol | None], Protocol], tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("patient_id,study_uid,lesion\n7,1.2,1\n")
    other = PROTOCOL.model_copy(update={"look_back_days": PROTOCOL.look_back_days + 1})
    with pytest.raises(UsageError, match="another protocol"):
        opened_with(tmp_path, other)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"table": PROTOCOL.table[:1]}, "table"),
        ({"look_back_days": 1}, "look_back_days"),
        ({"model": {"text_pooling": "cls"}}, "model.text_pooling"),
        ({"tasks": ({"name": "other", "question": "Is there another?"},)}, "tasks"),
    ],
)
def test_a_rival_that_reads_or_answers_something_else_is_refused(
    change: dict[str, object], what: str
) -> None:
    nothing: Any = None
    encoder: Any = SimpleNamespace(sha256="0")
    one, other = (
        Bundle(protocol, nothing, encoder, nothing, calibrators=(), reference=nothing, metrics=(),
               identity=IDENTITY)
        for protocol in (PROTOCOL, Protocol.model_validate(PROTOCOL.model_dump() | change))
    )  # fmt: skip
    judging._require_comparable(one, one)
    with pytest.raises(UsageError, match=f"has other {what}"):
        judging._require_comparable(one, other)


def answering(task: Task, *, number: int) -> Bundle:
    """A bundle of one task whose calibration changes nothing."""
    nothing: Any = None
    count = {"n_cases": 90, "n_events": 30}
    calibrator: Any = (
        Calibrator(task=task.name, map=CalibrationMap(method="temperature"), **count)
        if task.kind == "binary"
        else StepCalibrator(
            task=task.name, kind=task.kind, **count,
            map=StepMap(method="temperature", slope=1.0, intercepts=(0.0,) * task.n_steps),
        )
    )  # fmt: skip
    return Bundle(
        PROTOCOL.model_copy(update={"tasks": (task,)}), nothing, nothing, nothing,
        calibrators=(calibrator,), reference=nothing, metrics=(),
        identity=IDENTITY.model_copy(update={"sha256": str(number) * 64}),
    )  # fmt: skip


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Comparison]:
    """Compare a bundle that says one thing with one that says another, on the same cases."""

    def run(task: Task, labels: np.ndarray, ours: np.ndarray, its: np.ndarray) -> Comparison:
        cases: Any = [
            SimpleNamespace(patient_id=str(n), labels=np.array([label]), model_input=lambda _: None)
            for n, label in enumerate(labels)
        ]
        told = [
            Scores(steps, steps[None], steps, steps, (("image", "notes", "table"),) * len(steps))
            for steps in (ours, its)
        ]
        rival = answering(task, number=2)
        monkeypatch.setattr(judging, "score_in_shares", lambda bundle, *_: told[bundle is rival])
        (found,) = judging._compare(answering(task, number=1), cases, told[0], rival)
        return found

    return run


def test_a_better_bundle_has_a_higher_auroc_and_a_lower_log_loss_than_its_rival(
    compare: Callable[..., Comparison],
) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(300, 1)) * 2.0
    labels = (random.random(300) < 1 / (1 + np.exp(-truth[:, 0]))).astype(np.float64)
    blurred = truth + 2.0 * random.normal(size=truth.shape)
    better, worse, same = (
        compare(YES, labels, *pair) for pair in ((truth, blurred), (blurred, truth), (truth, truth))
    )
    assert better.sha256 == "2" * 64
    assert better.difference is not None
    assert worse.difference is not None
    assert worse.auroc is not None
    assert better.auroc is not None
    # Of the rival is its own AUROC; the difference is this bundle's less the rival's.
    assert better.difference.lower > 0.0 > better.log_loss_difference.upper
    assert better.difference.value == pytest.approx(worse.auroc.value - better.auroc.value)
    assert worse.difference.value == pytest.approx(-better.difference.value)
    assert worse.log_loss_difference.value == pytest.approx(-better.log_loss_difference.value)
    assert same.difference is not None
    for one in (same.difference, same.log_loss_difference):
        assert (one.value, one.lower, one.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("task", [KIND, GRADE], ids=lambda task: task.kind)
def test_where_no_case_has_a_class_bundles_are_compared_by_log_loss_alone(
    task: Task, compare: Callable[..., Comparison]
) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=120).astype(np.float64)
    ours = np.sort(random.normal(size=(120, task.n_steps)))[:, ::-1]
    found = compare(task, labels, ours, ours)
    assert (found.auroc, found.difference) == (None, None)
    assert found.log_loss_difference.value == 0.0
    # With the third class there is an AUROC.
    labels[:10] = 2.0
    assert compare(task, labels, ours, ours).difference is not None


def test_subsets_are_judged_by_their_own_map_on_cases_that_have_everything() -> None:
    random = np.random.default_rng(0)
    odds = random.normal(-0.5, 1.5, 3000)
    labels = (random.random(3000) < 1 / (1 + np.exp(-odds))).astype(float)
    bundle = answering(YES, number=1)
    halved = SubsetShift(present=("image",), slope=2.0, intercept=0.0, n_cases=90)
    calibrator = bundle.calibrators[0].model_copy(update={"shifts": (halved,)})
    bundle = replace(bundle, calibrators=(calibrator,))
    cases: Any = [
        SimpleNamespace(patient_id=str(n), labels=np.array([label]))
        for n, label in enumerate(labels)
    ]
    whole = np.where(np.arange(3000) < 2800, odds, np.nan)[:, None]
    hidden = dict.fromkeys(judging.SUBSETS, odds[:, None]) | {
        judging.SUBSETS[0]: whole, ("image",): odds[:, None] / 2,
    }  # fmt: skip
    found = {one.present: one for one in judging._subsets_of(bundle, 0, cases, hidden)}
    assert len(found) == 6
    for one in found.values():
        assert one.n_cases == 2800
        assert one.difference.value == pytest.approx(0.0, abs=1e-9)
        assert one.slope is not None
        assert one.observed_to_expected is not None
        # Standard errors at 2,800 cases are about 0.04 and 0.03.
        assert one.slope.value == pytest.approx(1.0, abs=0.12)
        assert one.observed_to_expected.value == pytest.approx(1.0, abs=0.1)


def test_a_task_of_which_the_studies_tell_nothing_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing: Any = None
    tasks = tuple(YES.model_copy(update={"name": name}) for name in ("known", "unknown", "one"))
    metrics: Any = (SimpleNamespace(train_prevalence=0.3),) * 3
    bundle = Bundle(
        PROTOCOL.model_copy(update={"tasks": tasks}), nothing, nothing, nothing, calibrators=(),
        reference=nothing, metrics=metrics, identity=IDENTITY,
    )  # fmt: skip
    cases: Any = [SimpleNamespace(labels=np.array([n % 2, np.nan, 1.0])) for n in range(9)]

    def judged(_: Bundle, number: int, *__: object, usual: tuple[float, ...]) -> object:
        if number == 2:
            raise CalibrationError("task one: one class only")
        return number, usual

    monkeypatch.setattr(judging, "judge_task", judged)
    found, others = judging._judged(bundle, cases, nothing)
    assert found == ((0, (0.3,)),)
    assert [one.task for one in others] == ["unknown", "one"]
    for case in cases:
        case.labels[0] = np.nan
    with pytest.raises(UsageError, match="nothing can be judged: task known: no study"):
        judging._judged(bundle, cases, nothing)
