"""Logit to probability and set, and the numbers that judge them."""

from pipeline.calibration.among import value_of
from pipeline.calibration.calibrator import (
    COVERAGE,
    Group,
    fit_calibrator,
    with_interval,
    with_nested_loss,
    with_thresholds,
)
from pipeline.calibration.choose import by_patient, require_of_each
from pipeline.calibration.class_sets import class_set, fit_class_sets, with_class_sets
from pipeline.calibration.conformal import label_set, thresholds_of
from pipeline.calibration.coverage import cases_set_on, short_sets
from pipeline.calibration.doubts import (
    Judged,
    doubt_issues,
    doubts_about,
    is_answered,
    parts_differ,
    ranks_by_chance,
)
from pipeline.calibration.fit_steps import (
    fit_step_calibrator,
    outcome_groups,
    outcome_names,
)
from pipeline.calibration.interval import interval
from pipeline.calibration.judge import Answers, judge, paired_difference
from pipeline.calibration.judge_steps import judge_steps
from pipeline.calibration.maps import MODALITIES, in_words, to_log_odds, to_probability
from pipeline.calibration.operating import broken_promises, judge_operating_points
from pipeline.calibration.questions import mean_auroc, questions, task_log_loss, train_shares
from pipeline.calibration.reference import (
    Reference,
    Space,
    Summary,
    fit_reference,
    fit_space,
    history_of,
    outside_reference,
    require_images,
    unseen_body_parts,
    unseen_scanner,
)
from pipeline.calibration.shown import shown_log_odds
from pipeline.calibration.steps import outcome_probabilities, step_probabilities, steps_in_words

__all__ = [
    "COVERAGE", "MODALITIES", "Answers", "Group", "Judged", "Reference", "Space", "Summary",
    "broken_promises", "by_patient", "cases_set_on", "class_set", "doubt_issues",
    "doubts_about", "fit_calibrator", "fit_class_sets", "fit_reference", "fit_space",
    "fit_step_calibrator", "history_of", "in_words", "interval", "is_answered", "judge",
    "judge_operating_points", "judge_steps", "label_set", "mean_auroc", "outcome_groups",
    "outcome_names", "outcome_probabilities", "outside_reference", "paired_difference",
    "parts_differ", "questions", "ranks_by_chance", "require_images", "require_of_each",
    "short_sets", "shown_log_odds", "step_probabilities", "steps_in_words", "task_log_loss",
    "thresholds_of", "to_log_odds", "to_probability", "train_shares", "unseen_body_parts",
    "unseen_scanner", "value_of", "with_class_sets", "with_interval", "with_nested_loss",
    "with_thresholds",
]  # fmt: skip
