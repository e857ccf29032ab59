"""The shipped bundle against the known truth of new simulated patients.

    python -m benchmarks.truth [N_CASES]        (part of make bench)

Writes benchmarks/results/truth.json and truth.md. The patients (seed 99) are neither the
training's nor the sample's. Nothing here says anything about real patients.
"""

import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

import flows  # noqa: F401  sets the environment's defaults
from flows.progress import progress_bars
from pipeline.bundle import Bundle, load_bundle
from pipeline.calibration import outside_reference, to_probability
from pipeline.cohort import Cohort, open_cohort, read_case
from pipeline.inputs import main_volume, model_input, quantities
from pipeline.phantom import WORLDS, Design, write_cohort
from pipeline.progress import Progress
from pipeline.tensors import ModelInput
from schemas.issue import Severity
from schemas.series import Study

BUNDLE = Path("data_samples/bundles/brain_mr")
RESULTS = Path(__file__).parent / "results"
SEED, N_CASES, N_BOOTSTRAP = 99, 600, 1000
STRIDE_MM = 16.0

Row = dict[str, float]


def main(n_cases: int) -> None:
    """Simulate, assess, compare, write."""
    bundle = load_bundle(BUNDLE)
    with tempfile.TemporaryDirectory() as scratch, progress_bars(quiet=False) as progress:
        folder = Path(scratch) / "cohort"
        design = Design(world=WORLDS["brain_mr"], seed=SEED)
        write_cohort(folder, design=design, n_cases=n_cases)
        cohort = open_cohort(folder, bundle.protocol, progress=progress)
        truth = pd.read_csv(folder / "truth.csv").set_index("study_uid")
        rows = _score_all(cohort, bundle, truth, progress)
    table = {calibrator.task: _compare(rows, calibrator.task) for calibrator in bundle.calibrators}
    result = {
        "command": f"python -m benchmarks.truth {n_cases}",
        "bundle": bundle.identity.sha256,
        "machine": f"{platform.machine()}, torch {version('torch')}",
        "cases": n_cases,
        "seed": SEED,
        "tasks": table,
        "flagged_out_of_distribution": float(rows["is_unlike"].mean()),
        "lesion_peak_within_a_token": _share(rows, "lesion_hit"),
        "lesion_image_evidence_without_a_lesion": _quantiles(rows, has_lesion=False),
        "lesion_image_evidence_with_a_lesion": _quantiles(rows, has_lesion=True),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "truth.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "truth.md").write_text(_markdown(result, table))
    print((RESULTS / "truth.md").read_text())


def _score_all(
    cohort: Cohort, bundle: Bundle, truth: pd.DataFrame, progress: Progress
) -> pd.DataFrame:
    rows = []
    for number, study in enumerate(cohort.inventory.studies):
        progress("scoring", number, len(cohort.inventory.studies))
        rows.append(_score(cohort, bundle, study, truth.loc[study.study_uid]))
    return pd.DataFrame(rows)


def _score(cohort: Cohort, bundle: Bundle, study: Study, truth: pd.Series) -> Row:
    case = read_case(cohort, study)
    inputs = model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
    output = bundle.predict([inputs])
    blind = bundle.predict([ModelInput(inputs.image, None, None)])
    row: Row = {"has_lesion": float(truth["has_lesion"])}
    for number, calibrator in enumerate(bundle.calibrators):
        logit = float(output.logits[0, number])
        row[f"{calibrator.task}_p"] = float(to_probability(calibrator, logit))
        row[f"{calibrator.task}_blind"] = float(
            to_probability(calibrator, float(blind.logits[0, number]))
        )
        row[f"{calibrator.task}_true"] = float(truth[f"true_{calibrator.task}"])
        row[f"{calibrator.task}_y"] = float(truth[f"outcome_{calibrator.task}"])
    volume = main_volume(case, bundle.protocol)
    row["is_unlike"] = bool(
        outside_reference(
            bundle.reference,
            output.summary[0].double().cpu().numpy() if inputs.image else None,
            quantities(volume, case.history),
            severity=Severity.INFO,
        )
    )
    if inputs.image is not None:
        additions = output.image[0, 0].cpu().numpy().reshape(output.token_grid)
        row["lesion_image"] = float(additions.sum())
        if truth["has_lesion"]:
            token = np.array(np.unravel_index(additions.argmax(), additions.shape))
            peak = inputs.image.grid.to_mm(token * 4 + 1.5)
            centre = truth[["lesion_x_mm", "lesion_y_mm", "lesion_z_mm"]].to_numpy(float)
            row["lesion_hit"] = float(np.linalg.norm(peak - centre) <= STRIDE_MM)
    return row


def _compare(rows: pd.DataFrame, task: str) -> Mapping[str, object]:
    """Return our score and the truth's own on the same drawn outcomes, with 95 % intervals."""
    p, true, y = (rows[f"{task}_{what}"].to_numpy() for what in ("p", "true", "y"))
    draws = np.random.default_rng(0).integers(0, len(y), (N_BOOTSTRAP, len(y)))
    ours = [roc_auc_score(y[draw], p[draw]) for draw in draws if 0 < y[draw].sum() < len(y)]
    slope, intercept = _calibration_line(p, y)
    return {
        "events": int(y.sum()),
        "auroc": [float(roc_auc_score(y, p)), *np.percentile(ours, [2.5, 97.5]).tolist()],
        "auroc_of_truth": float(roc_auc_score(y, true)),
        "log_loss": float(log_loss(y, p)),
        "log_loss_of_truth": float(log_loss(y, true)),
        "log_loss_of_prevalence": float(log_loss(y, np.full(len(y), y.mean()))),
        "mean_error_against_true_probability": float(np.abs(p - true).mean()),
        "mean_predicted_minus_observed": float(p.mean() - y.mean()),
        "mean_predicted_minus_observed_without_history": float(
            rows[f"{task}_blind"].mean() - y.mean()
        ),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def _calibration_line(p: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    logit = np.log(p / (1 - p))[:, None]
    line = LogisticRegression(C=np.inf).fit(logit, y)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def _share(rows: pd.DataFrame, column: str) -> Mapping[str, float]:
    known = rows[column].dropna()
    return {"share": float(known.mean()), "of": len(known)}


def _quantiles(rows: pd.DataFrame, *, has_lesion: bool) -> Mapping[str, float]:
    chosen = rows.loc[rows["has_lesion"] == has_lesion, "lesion_image"].dropna()
    return {f"{q:.2f}": float(chosen.quantile(q)) for q in (0.05, 0.5, 0.95)}


def _markdown(result: Mapping[str, object], table: Mapping[str, Mapping[str, object]]) -> str:
    lines = [
        "# The shipped bundle against the known truth (simulated patients)",
        "",
        f"`{result['command']}`, {result['machine']}, seed {result['seed']}. *Limit*: the true "
        "probabilities scored on the same outcomes.",
        "",
        "| task | events | AUROC (95 % interval) | limit | log loss | limit | prevalence | mean "
        "error against the true probability | slope | mean predicted minus observed | the same, "
        "history withheld |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, row in table.items():
        value, low, high = row["auroc"]  # type: ignore[misc]
        lines.append(
            f"| {task} | {row['events']} | {value:.3f} ({low:.3f} to {high:.3f}) "
            f"| {row['auroc_of_truth']:.3f} | {row['log_loss']:.3f} "
            f"| {row['log_loss_of_truth']:.3f} | {row['log_loss_of_prevalence']:.3f} "
            f"| {row['mean_error_against_true_probability']:.3f} "
            f"| {row['calibration_slope']:.2f} "
            f"| {row['mean_predicted_minus_observed']:+.3f} "
            f"| {row['mean_predicted_minus_observed_without_history']:+.3f} |"
        )
    hit = result["lesion_peak_within_a_token"]
    lines += [
        "",
        f"- Cases flagged as unlike the training cases, though drawn from the same world: "
        f"{result['flagged_out_of_distribution']:.1%}.",
        f"- Scans with a lesion in which the heatmap's peak token lies within {STRIDE_MM:g} mm of "
        f"its centre: {hit['share']:.1%} of {hit['of']}.",  # type: ignore[index]
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_CASES)
