import pytest

from flows.metrics_table import show_evaluation
from schemas.bundle import BundleIdentity
from schemas.evaluation import Comparison, Evaluation, SubsetResult
from schemas.metrics import Interval, OperatingResult, Performance, TaskMetrics


def between(value: float) -> Interval:
    return Interval(value=value, lower=value - 0.01, upper=value + 0.01)


def metrics() -> TaskMetrics:
    whole = Performance(
        group="all", n_cases=431, n_events=57, auroc=between(0.811), auprc=None,
        brier=between(0.123), log_loss=between(0.345), slope=between(1.021),
        intercept=between(-0.071), observed_to_expected=between(1.0),
    )  # fmt: skip
    women = whole.model_copy(update={
        "group": "sex: F", "n_cases": 200, "n_events": 21, "auroc": between(0.805),
        "brier": between(0.12), "log_loss": between(0.35), "slope": between(0.99),
        "intercept": between(0.01),
    })  # fmt: skip
    return TaskMetrics(
        task="lesion",
        whole=whole,
        groups=(women,),
        train_prevalence=0.2,
        log_loss_uncalibrated=0.5,
        prevalence_log_loss=0.6,
        operating=(
            OperatingResult(
                goal="ppv",
                at_least=0.9,
                threshold=0.731,
                n_cases=51,
                n_right=47,
                lower=0.811,
                upper=0.978,
            ),
        ),
    )


def evaluation() -> Evaluation:
    identity = BundleIdentity(
        name="b", sha256="0" * 64, protocol_sha256="1" * 64, image_encoder="resnet10",
        text_encoder="t", text_sha256="2" * 64, n_train=10, is_simulated=True,
    )  # fmt: skip
    subset = SubsetResult(
        task="lesion", present=("image", "notes"), n_cases=400, auroc=between(0.799),
        difference=between(-0.012), slope=between(1.05),
    )  # fmt: skip
    other = Comparison(
        task="lesion", name="late", sha256="abcdef0123", auroc=between(0.78),
        difference=between(0.031), log_loss_difference=between(-0.021),
    )  # fmt: skip
    return Evaluation(
        bundle=identity, title="t", n_studies=431, n_known_to_training=0, n_unread=0,
        tasks=(metrics(),), subsets=(subset,), comparisons=(other,),
    )  # fmt: skip


def test_tasks_groups_subsets_and_other_bundles_have_rows_with_their_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_evaluation(evaluation(), quiet=False)
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["lesion", "431", "57", "0.811", "-", "0.123", "0.345", "1.021", "-0.071"] in lines
    ends = "0.801 to 0.821 0.113 to 0.133 0.335 to 0.355 1.011 to 1.031 -0.081 to -0.061"
    assert ends.split() in lines
    group = "lesion sex: F 200 21 0.805 - 0.120 0.350 0.990 0.010"
    assert group.split() in lines
    assert ["lesion", "image", "and", "notes", "400", "0.799", "-0.012", "1.050", "-"] in lines
    assert ["lesion", "late", "abcdef01", "0.031", "-0.021"] in lines
    promised = "lesion 0.731 positive predictive value of 90% 51 0.922 0.811 to 0.978"
    assert promised.split() in lines
    assert ["0.021", "to", "0.041", "-0.031", "to", "-0.011"] in lines


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(), quiet=True)
    assert not capsys.readouterr().out
