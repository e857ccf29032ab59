"""The model card: what a bundle is, how it was made, how well it did, what it must not do."""

from collections.abc import Mapping

from pipeline.bundle import Bundle
from schemas.bundle import Interval, TaskMetrics


def model_card(bundle: Bundle, sizes: Mapping[str, int]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    sizes
        Cases in each part.
    """
    protocol = bundle.protocol
    origin = (
        "**Trained on simulated data. Its numbers say nothing about real patients.**"
        if protocol.is_simulated
        else "Trained on the cohort that its owner named; see the protocol."
    )
    parts = ", ".join(f"{name} {count}" for name, count in sizes.items())
    rows = "\n".join(_row(metrics) for metrics in bundle.metrics)
    questions = "\n".join(f"- `{task.name}`: {task.question}" for task in protocol.tasks)
    return f"""# {protocol.title}

Decision support for research; not a medical device.

{origin}

## Questions

{questions}

## Made of

- image encoder: {bundle.identity.image_encoder}, grid {protocol.grid.size} at
  {protocol.grid.spacing_mm} mm
- text encoder: {bundle.text_encoder.name}, frozen, SHA-256 {bundle.text_encoder.sha256}
- cases: {parts}; parts are by patient, seed {protocol.training.seed}
- calibration: temperature scaling, one slope a task, on the calibration part

## Test patients

Nothing was fitted on them. 95 % intervals by patient bootstrap.

| task | cases | events | AUROC | Brier | log loss | uncalibrated | prevalence alone |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

## Limits

Intervals and conformal sets are not computed by this version. Cases unlike the training cases are
flagged by the distance of their image features and by the range of spacing, extent and table
values; that check is not proof that a case is alike.
"""


def _row(metrics: TaskMetrics) -> str:
    return (
        f"| {metrics.task} | {metrics.n_cases} | {metrics.n_events} | {_shown(metrics.auroc)} | "
        f"{_shown(metrics.brier)} | {_shown(metrics.log_loss)} | "
        f"{metrics.log_loss_uncalibrated:.3f} | {metrics.prevalence_log_loss:.3f} |"
    )


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.lower:.3f} to {interval.upper:.3f})"
