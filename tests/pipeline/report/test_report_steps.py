"""Reports of tasks with several classes, levels or horizons."""

import csv
import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from report_examples import PASSED, heatmap, report, risk, volume
from test_report_page import HOSTILE, Page

from pipeline.report.check import check_report
from pipeline.report.index import write_index, write_predictions_csv
from pipeline.report.page import render_page
from pipeline.report.schema import report_schema
from pipeline.report.write import read_report, write_report
from schemas.prediction import OutcomeProbability, StepAnswer

LOGIT_OF = "left, against the mean of the other classes"


def steps(kind="multiclass", values=(0.2, 0.7, 0.1), labels=("none", "left", "right"), **changes):
    outcomes = tuple(
        OutcomeProbability(label=label, probability=value, train_share=0.3)
        for label, value in zip(labels, values, strict=True)
    )
    told = {"kind": kind, "outcomes": outcomes, "shown": labels[1], "logit_of": LOGIT_OF}
    return StepAnswer(**(told | changes))


def told(answer=None, **changes):
    answer = answer or steps()
    shown = next(one.probability for one in answer.outcomes if one.label == answer.shown)
    odds = {0.7: 0.8472978603872034, 0.6: 0.4054651081081642}[shown]
    values = {"probability": shown, "calibrated_logit": odds, "train_prevalence": None}
    return risk(steps=answer, **(values | changes))


def survival():
    days = ("within 180 days", "within 365 days", "within 730 days")
    return told(
        steps(
            "survival", (0.3, 0.5, 0.6), days, shown=days[2], logit_of="an event within 180 days"
        ),
        task="growth",
        has_heatmap=False,
    )


def text_of(made):
    return Page(render_page(made, volume=volume(), heatmaps={"mass": heatmap()})).text


def test_every_class_has_its_probability_and_share_and_says_whether_it_remains():
    text = text_of(report(told(set=("none", "left"), set_coverage=0.9)))
    assert "70 % left" in text
    assert "none 20 % 30 % remains left 70 % 30 % remains right 10 % 30 % ruled out" in text
    assert "Cannot say, ask a human: at 90 % coverage these answers remain: none, left." in text
    assert f"Above 0 speaks for: {LOGIT_OF}" in text
    assert "1 / (1 + exp" not in text


def test_a_set_of_one_class_names_it():
    text = text_of(report(told(set=("left",), set_coverage=0.9)))
    assert "At 90 % coverage only left remains." in text


def test_where_no_class_remains_a_human_is_asked_and_where_there_are_no_sets_none_is_told():
    text = text_of(report(told(set=(), set_coverage=0.9)))
    assert "Cannot say, ask a human: at 90 % coverage no answer fits" in text
    assert text.count("ruled out") == 3
    text = text_of(report(told(set=None)))
    assert "No set of answers" in text
    assert "ruled out" not in text


def test_levels_have_their_expected_one():
    answer = steps("ordinal", expected_level=1.9, logit_of="more than none")
    text = text_of(report(told(answer)))
    assert "Expected level: 1.9 , of 3, counted from 1 (none)." in text


def test_a_survival_task_has_a_risk_by_each_horizon_and_no_set():
    text = text_of(report(told(), survival()))
    assert "within 180 days 30 % 30 % within 365 days 50 % 30 % within 730 days 60 %" in text
    assert "The risk by a later horizon holds that by an earlier one." in text


@pytest.mark.parametrize(
    ("answer", "moved"),
    [
        (told(), "odds of this answer"),
        # All levels share one logit: what speaks for more speaks against the lowest.
        (told(steps("ordinal", expected_level=1.9)), "odds of more than none"),
        (survival(), "risk"),
        (risk(), "risk"),
    ],
    ids=["multiclass", "ordinal", "survival", "binary"],
)
def test_only_what_is_a_risk_is_called_one(answer, moved):
    made = report(answer.model_copy(update={"has_heatmap": True, "map_check": PASSED}))
    html = render_page(made, volume=volume(), heatmaps={answer.task: heatmap()})
    text = " ".join(Page(html).text.split())
    assert f"Where the image moved the {moved}" in text
    assert f"Painting over the voxels that it says raise the {moved} most moved the logit" in text
    assert f"What the {'risk' if moved == 'risk' else 'answer'} is made of" in text
    assert ("raise the risk" in text) == (moved == "risk")


def test_names_of_classes_are_escaped():
    answer = steps(labels=("none", HOSTILE, "right"), logit_of=HOSTILE)
    html = render_page(
        report(told(answer, set=(HOSTILE,), set_coverage=0.9)),
        volume=volume(), heatmaps={"mass": heatmap()},
    )  # fmt: skip
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_such_a_report_fits_the_published_schema_and_is_read_back(tmp_path):
    made = report(told(), survival())
    write_report(tmp_path / "s", made, volume=volume(), heatmaps={"mass": heatmap()})
    text = (tmp_path / "s" / "report.json").read_text("utf-8")
    assert list(Draft202012Validator(report_schema()).iter_errors(json.loads(text))) == []
    assert read_report(tmp_path / "s") == made


def test_predictions_have_a_row_for_each_outcome(tmp_path):
    write_predictions_csv(tmp_path, [report(told(set=("none", "left")), survival())])
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["task"], row["outcome"], row["probability"], row["set"]) for row in rows] == [
        ("mass", "none", "0.2", "none; left"),
        ("mass", "left", "0.7", "none; left"),
        ("mass", "right", "0.1", "none; left"),
        ("growth", "within 180 days", "0.3", ""),
        ("growth", "within 365 days", "0.5", ""),
        ("growth", "within 730 days", "0.6", ""),
    ]


def test_the_index_names_the_class_and_ranks_by_risks_alone(tmp_path):
    sure = report(told(), study_uid="1", patient_id="P1")
    risky = report(survival(), study_uid="2", patient_id="P2")
    write_index(tmp_path, [sure, risky], title="Batch")
    html = (tmp_path / "index.html").read_text("utf-8")
    text = Page(html).text
    assert text.index("P2") < text.index("P1")
    assert "70 % left" in text


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        pytest.param("multiclass", (0.2, 0.7, 0.2), id="sum above 1"),
        pytest.param("survival", (0.3, 0.2, 0.6), id="falling risk"),
    ],
)
def test_probabilities_that_contradict_each_other_are_refused(kind, values):
    with pytest.raises(ValidationError, match="sum to 1, of survival never fall"):
        steps(kind, values)


def test_what_is_shown_must_be_an_outcome_and_have_the_probability_given():
    with pytest.raises(ValidationError, match="is no outcome"):
        steps(shown="up")
    made = report(told(probability=0.6, calibrated_logit=0.4054651081081642))
    with pytest.raises(ValueError, match="left has"):
        check_report(made, volume(), {"mass": heatmap()})
