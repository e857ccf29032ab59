from pipeline.train.card import nested_in_words, promises
from schemas.calibration import NestedLoss
from tests.pipeline.report.test_report_evaluation import metrics


def test_the_card_tells_the_loss_of_choice_and_fit_beside_the_uncalibrated_one() -> None:
    methods = ("platt", "beta", "platt", "platt", "platt")
    said = nested_in_words(
        NestedLoss(log_loss=0.5121, log_loss_uncalibrated=0.5309, methods=methods, n_cases=240)
    )
    assert "procedure by nested cross-validation 0.512, uncalibrated 0.531, 240 cases" in said
    assert said.endswith("platt 4, beta 1")


def test_the_card_tells_what_promised_thresholds_did_and_nothing_where_none_was_asked_for() -> None:
    told = metrics()
    assert promises([told.model_copy(update={"operating": ()})]) == ""
    row = "| mass | 0.200 | sensitivity of at least 90% | "
    assert row + f"{told.operating[0].n_right} of {told.operating[0].n_cases} | " in promises(
        [told]
    )


def test_a_bundle_without_one_says_so() -> None:
    assert "too few" in nested_in_words(None)
