import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

from pipeline import recalibrate as recalibrating
from pipeline.bundle import SPLITS, Bundle, load_bundle, making_of, save_bundle, split_of
from pipeline.calibration import to_log_odds
from pipeline.errors import RecordsError, UsageError
from pipeline.recalibrate import Followed, recalibrate
from pipeline.train.evaluate import _unseen
from pipeline.train.splits import split_record, was_seen
from schemas.calibration import Calibrator, Recalibration, StepCalibrator, StepMap
from schemas.doubt import Doubt
from schemas.prediction import Evidence
from schemas.report import HistoryUse, Risk, RiskReport, RunIdentity
from schemas.settings import SplitRule
from schemas.task import Task

SHIPPED = Path(__file__).parents[2] / "data_samples" / "bundles" / "brain_mr"
SHIFT = -1.0
NOBODY = range(0)


def stepped(task: str) -> StepCalibrator:
    fitted = StepMap(method="temperature", slope=1.0, intercepts=(0.0, 0.0))
    return StepCalibrator(task=task, kind="survival", map=fitted, n_cases=90, n_events=30)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(SHIPPED)


def report(bundle: Bundle, number: int, odds: float) -> RiskReport:
    """A report of the bundle in which each task has the same calibrated log-odds."""
    risks = tuple(
        Risk(
            task=task.name, question=task.question, probability=float(expit(odds)), logit=odds,
            calibrated_logit=odds, calibration="temperature", train_prevalence=0.3,
            evidence=Evidence(bias=odds, image=0.0), heatmap_reason="none",
        )
        for task in bundle.protocol.tasks
    )  # fmt: skip
    nothing = HistoryUse(
        cut_at=None,
        look_back_days=1,
        n_values=0,
        missing=(),
        n_notes=0,
        n_after_scan=0,
        n_too_old=0,
    )
    run = RunIdentity(
        key="k", images_sha256="i", history_sha256="h", synopt_version="0", libraries={}
    )
    return RiskReport(
        study_uid=f"1.2.3.{number}", patient_id=f"P{number}", acquired_at=None,
        created_at=datetime.now(UTC), status="assessed", bundle=bundle.identity,
        protocol_title="t", issues=(), risks=risks, series=(), history=nothing, run=run,
    )  # fmt: skip


def site(folder: Path, bundle: Bundle, n: int, *, unlabelled: range = NOBODY) -> Path:
    """Write reports and outcomes of a site where risks are lower than the bundle says."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(n):
        odds = float(random.normal(0.0, 1.5))
        made = report(bundle, number, odds)
        place = folder / "studies" / made.study_uid
        place.mkdir(parents=True)
        (place / "report.json").write_text(made.model_dump_json())
        (place / "report.html").touch()
        outcome = int(random.random() < expit(odds + SHIFT))
        told = "" if number in unlabelled else outcome
        rows.append([made.patient_id, made.study_uid, *[told] * len(bundle.protocol.tasks)])
    labels = folder / "site_labels.csv"
    with labels.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "study_uid", *[t.name for t in bundle.protocol.tasks]])
        writer.writerows(rows)
    return labels


def test_a_sites_outcomes_move_the_risks_and_the_bundle_says_so(
    bundle: Bundle, tmp_path: Path
) -> None:
    labels = site(tmp_path / "site", bundle, 300)
    made = recalibrate(SHIPPED, labels, tmp_path / "site", tmp_path / "new")
    new = made.bundle
    assert made.n_known == 0
    assert new.identity.sha256 != bundle.identity.sha256
    for old, updated in zip(bundle.calibrators, new.calibrators, strict=True):
        assert updated.recalibration is not None
        assert updated.recalibration.from_bundle_sha256 == bundle.identity.sha256
        # Standard error of the intercept at 300 cases is about 0.15.
        moved = to_log_odds(updated, 0.3) - to_log_odds(old, 0.3)
        assert float(moved) == pytest.approx(SHIFT, abs=0.5)
    assert "Recalibrated on a site" in (tmp_path / "new" / "docs" / "README.md").read_text()


def knowing(folder: Path, bundle: Bundle, **parts: range) -> Path:
    """Write the bundle as if patients of these numbers had been in these parts."""
    named = {f"p{n}": part for part, numbers in parts.items() for n in numbers}
    split = split_record(named, SplitRule(), seed=3)  # type: ignore[arg-type]
    folder.mkdir()
    save_bundle(folder, bundle, "card", {**making_of(SHIPPED), SPLITS: split})
    return folder


def test_whose_outcomes_were_used_counts_as_seen_by_the_new_bundle(
    bundle: Bundle, tmp_path: Path
) -> None:
    old = knowing(tmp_path / "old", bundle, train=range(900, 910), test=range(20))
    known = load_bundle(old)
    labels = site(tmp_path / "site", known, 300, unlabelled=range(290, 300))
    recalibrate(old, labels, tmp_path / "site", tmp_path / "new")
    before, after = split_of(old), split_of(tmp_path / "new")
    used, others = [f"P{n}" for n in range(290)], [f"P{n}" for n in range(290, 300)]
    assert not any(was_seen(before, who) for who in used)
    # Those of the test part are among them: nothing had been fitted on them until now.
    assert all(was_seen(after, who) for who in used)
    assert not any(was_seen(after, who) for who in others)
    assert was_seen(after, "P905")
    assert {part: names for part, names in after.parts.items() if part != "site"} == before.parts
    with pytest.raises(UsageError, match="evaluate on other patients"):
        _unseen([SimpleNamespace(patient_id=who) for who in used], [after])  # type: ignore[misc]


def test_of_patients_who_made_the_bundle_no_outcome_is_used(bundle: Bundle, tmp_path: Path) -> None:
    old = knowing(
        tmp_path / "old", bundle, train=range(50), validation=range(50, 60),
        calibration=range(60, 90), conformal=range(90, 100),
    )  # fmt: skip
    known = load_bundle(old)
    labels = site(tmp_path / "site", known, 300)
    made = recalibrate(old, labels, tmp_path / "site", tmp_path / "new")
    assert made.n_known == 100
    assert "100 studies of patients" in (tmp_path / "new" / "docs" / "README.md").read_text()
    for calibrator in made.bundle.calibrators:
        assert isinstance(calibrator, Calibrator)
        assert calibrator.recalibration is not None
        assert calibrator.recalibration.n_cases == 200
    assert len(split_of(tmp_path / "new").parts["site"]) == 200
    # A second update leaves out whose outcomes the first one used.
    for path in (tmp_path / "site").glob("studies/*/report.json"):
        path.write_text(
            path.read_text().replace(known.identity.sha256, made.bundle.identity.sha256)
        )
    with pytest.raises(UsageError, match=r"all 300 studies .* recalibrate on other patients"):
        recalibrate(tmp_path / "new", labels, tmp_path / "site", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_card_says_which_doubts_the_update_has_answered(bundle: Bundle) -> None:
    said = (Doubt(about="prevalence", words="too many"), Doubt(about="sets", words="too short"))
    metrics = [one.model_copy(update={"doubts": said}) for one in bundle.metrics]
    update = Recalibration(
        slope=1.0, intercept=0.1, n_cases=90, n_events=50, intercept_sd=0.1, labels_sha256="a",
        from_bundle_sha256="b",
    )  # fmt: skip
    moved = bundle.calibrators[0].model_copy(update={"recalibration": update})
    words = recalibrating._words([moved, *bundle.calibrators[1:]], metrics, n_known=0)
    assert words.count("too many") == 1
    assert "too short" not in words


def test_outcomes_that_slipped_by_a_row_are_refused_and_no_patient_is_named(
    bundle: Bundle, tmp_path: Path
) -> None:
    labels = site(tmp_path / "site", bundle, 20)
    rows = labels.read_text().splitlines()
    patients = [row.split(",")[0] for row in rows[1:]]
    slipped = [
        ",".join([patient, *row.split(",")[1:]])
        for patient, row in zip([*patients[1:], patients[0]], rows[1:], strict=True)
    ]
    labels.write_text("\n".join([rows[0], *slipped]) + "\n")
    with pytest.raises(RecordsError, match="has another patient_id than the study") as caught:
        recalibrate(SHIPPED, labels, tmp_path / "site", tmp_path / "new")
    assert not any(f"{patient}" in str(caught.value).split() for patient in patients)
    assert not (tmp_path / "new").exists()


def test_too_few_outcomes_change_nothing(bundle: Bundle, tmp_path: Path) -> None:
    labels = site(tmp_path / "site", bundle, 60)
    with pytest.raises(UsageError, match="50 patients of each outcome"):
        recalibrate(SHIPPED, labels, tmp_path / "site", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_of_a_patients_studies_one_counts(bundle: Bundle) -> None:
    cases = [
        Followed(
            report(bundle, n, 0.0), (1.0,) * 4, f"P{n // 3}", frozenset({f"P{n // 3}", "ANON"})
        )
        for n in range(30)
    ]
    used = recalibrating._used(bundle, 0, cases)
    assert len(used) == 10
    assert {case.patient_id for case in used} == {f"P{n}" for n in range(10)}
    assert used == recalibrating._used(bundle, 0, cases)


def test_reports_of_another_bundle_do_not_count(bundle: Bundle, tmp_path: Path) -> None:
    labels = site(tmp_path / "site", bundle, 3)
    for path in (tmp_path / "site").glob("studies/*/report.json"):
        path.write_text(path.read_text().replace(bundle.identity.sha256, "0" * 64))
    with pytest.raises(UsageError, match="no report of this bundle"):
        recalibrate(SHIPPED, labels, tmp_path / "site", tmp_path / "new")


def test_a_bundle_without_a_binary_task_is_not_recalibrated(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(stepped(bundle.calibrators[0].task) for _ in bundle.calibrators)
    changed = replace(bundle, calibrators=others)
    monkeypatch.setattr(recalibrating, "load_bundle", lambda _: changed)
    with pytest.raises(UsageError, match="answers no binary task"):
        recalibrate(SHIPPED, tmp_path / "labels.csv", tmp_path, tmp_path / "new")


def test_beside_binary_tasks_other_kinds_stay_as_they_were(bundle: Bundle, tmp_path: Path) -> None:
    # The first task becomes one of a time: the second's label stands one column further on.
    timed = Task(
        name="lesion", kind="survival", question="When will it come?", horizons_days=(90, 180)
    )
    protocol = bundle.protocol.model_copy(update={"tasks": (timed, *bundle.protocol.tasks[1:])})
    others = (stepped("lesion"), *bundle.calibrators[1:])
    changed = replace(bundle, protocol=protocol, calibrators=others)
    found = [report(bundle, n, 1.0 if n % 3 else -1.0) for n in range(300)]
    cases = [
        Followed(one, (77.0, 0.0, float(n % 3 > 0), 0.0, 0.0), f"P{n}", frozenset({f"P{n}"}))
        for n, one in enumerate(found)
    ]
    used = [recalibrating._used(changed, number, cases) for number in (0, 1)]
    fresh = [recalibrating._updated(changed, number, used[number], "d") for number in (0, 1)]
    assert fresh[0] == others[0]
    assert isinstance(fresh[1], Calibrator)
    assert fresh[1].recalibration is not None
    assert fresh[1].recalibration.n_events == 200
    words = recalibrating._words(fresh, bundle.metrics[:2], n_known=3)
    assert "3 studies of patients who had helped" in words
    assert "`lesion`: as it was; only binary tasks are recalibrated" in words
