import json
from functools import cache

import numpy as np
import pytest

from pipeline.calibration import (
    Answers,
    judge,
    judge_steps,
    outcome_probabilities,
    paired_difference,
    train_shares,
)
from pipeline.report.evaluation import DOCUMENT, PAGE, render_evaluation, write_evaluation
from schemas.bundle import BundleIdentity
from schemas.calibration import OperatingPoint
from schemas.evaluation import Comparison, Evaluation, SubsetResult
from schemas.metrics import TaskMetrics
from tests.pipeline.calibration.drawn import drawn
from tests.pipeline.calibration.step_cases import DEATH, GRADE, KIND, drawn_labels, true_steps

SENSITIVE = OperatingPoint(
    goal="sensitivity", at_least=0.9, confidence=0.9, threshold=0.2, n_cases=200, n_events=60
)


@cache
def metrics(n: int = 400, task: str = "mass") -> TaskMetrics:
    logits, labels, _ = drawn(n, slope=0.7)
    p = 1 / (1 + np.exp(-logits))
    sets = tuple(("0",) if x < 0.3 else ("1",) if x > 0.7 else ("0", "1") for x in p)
    told = Answers(p, p, labels.astype(np.float64), np.arange(n).astype(str), sets)
    groups = {"Sex: F": np.arange(n) % 2 == 0, "scanner: <b>Acme</b>": np.arange(n) % 3 == 0}
    return judge(task, told, train_prevalence=0.3, groups=groups, operating=(SENSITIVE,))


def evaluation(**changes: object) -> Evaluation:
    some = paired_difference(np.linspace(0.6, 0.8, 50))
    values = {
        "bundle": BundleIdentity(
            name="mass", sha256="a" * 64, protocol_sha256="b" * 64, image_encoder="MONAI x",
            text_encoder="y", text_sha256="c" * 64, n_train=900, is_simulated=True,
        ),
        "title": "Mass <script>alert(1)</script>",
        "n_studies": 400,
        "n_known_to_training": 12,
        "n_unread": 3,
        "tasks": (metrics(),),
        "subsets": (
            SubsetResult(task="mass", present=("image",), n_cases=300, auroc=some, difference=some),
        ),
        "comparisons": (
            Comparison(
                task="mass", name="other", sha256="d" * 64, auroc=some, difference=some,
                log_loss_difference=some,
            ),
        ),
    }  # fmt: skip
    return Evaluation(**(values | changes))


def test_both_files_are_written_and_the_document_reads_back(tmp_path) -> None:
    page = write_evaluation(tmp_path / "out", evaluation())
    assert page.name == PAGE
    text = (page.parent / DOCUMENT).read_text("utf-8")
    assert Evaluation.model_validate_json(text) == evaluation()
    assert json.loads(text)["tasks"][0]["whole"]["n_cases"] == 400


def test_what_a_promised_threshold_did_stands_on_the_page() -> None:
    (one,) = metrics().operating
    found = f"{round(100 * one.n_right / one.n_cases)} %"
    text = render_evaluation(evaluation()).replace("\u00a0", " ")
    assert "promises a sensitivity of at least 90 %" in text
    assert f"found {found} of {one.n_cases} cases" in text


def test_text_from_files_is_escaped() -> None:
    page = render_evaluation(evaluation())
    assert "<script>alert" not in page
    assert "<b>Acme" not in page
    assert "&lt;b&gt;Acme" in page


def test_a_group_of_one_class_has_no_auroc_and_says_so() -> None:
    told = metrics()
    alone = told.groups[0].model_copy(
        update={"auroc": None, "auprc": None, "slope": None, "intercept": None, "conformal": None}
    )
    shown = evaluation(tasks=(told.model_copy(update={"groups": (alone,)}),))
    assert "not defined" in render_evaluation(shown)


@pytest.mark.parametrize("n", [30, 400])
def test_a_diagram_is_drawn_only_from_enough_cases(n: int) -> None:
    page = render_evaluation(evaluation(tasks=(metrics(n),)))
    assert ("Reliability diagram" in page) == (n >= 50)


@pytest.mark.parametrize(
    ("n_cases", "n_events", "has_one"),
    [(100, 20, True), (99, 40, False), (300, 19, False), (300, 281, False), (300, 280, True)],
)
def test_a_group_has_a_diagram_from_100_cases_with_20_of_each_answer(
    n_cases: int, n_events: int, *, has_one: bool
) -> None:
    told = metrics()
    sized = told.groups[0].model_copy(update={"n_cases": n_cases, "n_events": n_events})
    page = render_evaluation(evaluation(tasks=(told.model_copy(update={"groups": (sized,)}),)))
    named = f"Reliability of Sex: F ({n_cases} cases, {n_events} positive): ten bins"
    assert (named in page) == has_one
    assert page.count("Reliability diagram") == 1 + has_one


def test_a_groups_diagram_shows_its_own_bins() -> None:
    told = metrics()
    own = told.groups[0].reliability
    assert own is not None
    assert own != told.whole.reliability
    page = render_evaluation(
        evaluation(tasks=(told.model_copy(update={"groups": told.groups[:1]}),))
    )
    diagram = page.split('aria-label="Reliability diagram of Sex: F')[1].split("</figure>")[0]
    assert diagram.count("<circle") == len(own.bins)
    for one in own.bins:
        assert f'cx="{round(one.predicted * 240, 1)}"' in diagram


@pytest.mark.parametrize("task", [KIND, GRADE, DEATH], ids=lambda task: task.kind)
def test_tasks_of_several_outcomes_have_a_section(task) -> None:
    p = outcome_probabilities(task.kind, true_steps(task, 400))
    labels = drawn_labels(task, true_steps(task, 400), p)
    told = Answers(p, p, labels, np.arange(400).astype(str), (None,) * 400)
    groups = {"Sex: <b>F</b>": np.arange(400) % 2 == 0}
    found = judge_steps(task, told, train_shares=train_shares(task, labels), groups=groups)
    made = evaluation(tasks=(metrics(), found))
    assert Evaluation.model_validate_json(made.model_dump_json()) == made
    page = render_evaluation(made)
    for asked in found.questions:
        assert asked.group in page
    assert ("Quadratic weighted kappa" in page) == (task.kind == "ordinal")
    assert ("Concordance" in page) == (task.kind == "survival")
    assert "<b>F" not in page
    # Bins would count censored patients: horizons have no such diagram.
    # The binary task has one, and one for each of its two groups.
    assert page.count("Reliability diagram") == 3 + (task.kind != "survival") * len(found.questions)
