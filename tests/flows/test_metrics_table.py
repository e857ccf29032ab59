import pytest

from flows.metrics_table import show_metrics
from schemas.metrics import Interval, Performance, TaskMetrics


def between(value: float) -> Interval:
    return Interval(value=value, lower=value - 0.01, upper=value + 0.01)


def metrics() -> TaskMetrics:
    whole = Performance(
        group="all", n_cases=431, n_events=57, auroc=between(0.811), auprc=None,
        brier=between(0.123), log_loss=between(0.345), slope=between(1.021),
        intercept=between(-0.071), observed_to_expected=between(1.0),
    )  # fmt: skip
    return TaskMetrics(
        task="lesion",
        whole=whole,
        train_prevalence=0.2,
        log_loss_uncalibrated=0.5,
        prevalence_log_loss=0.6,
    )


def test_each_task_has_a_row_with_its_statistics_and_their_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_metrics([metrics()], quiet=False)
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["lesion", "431", "57", "0.811", "-", "0.123", "0.345", "1.021", "-0.071"] in lines
    ends = "0.801 to 0.821 0.113 to 0.133 0.335 to 0.355 1.011 to 1.031 -0.081 to -0.061"
    assert ends.split() in lines


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_metrics([metrics()], quiet=True)
    assert not capsys.readouterr().out
