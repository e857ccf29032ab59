"""What is known against a bundle reaches every report that it makes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.assess import Assessor
from pipeline.bundle import MAPS, Bundle, load_bundle, making_of, save_bundle
from pipeline.cohort import Cohort, open_cohort, read_case
from pipeline.errors import CheckpointError
from pipeline.inputs import model_input
from pipeline.similar import Place, place
from pipeline.tensors import ModelInput
from pipeline.train.card import maps_in_words
from pipeline.unlike import unlike_training
from schemas.doubt import Doubt
from schemas.issue import IssueCode, Severity
from schemas.maps import MapFigure, MapProof, MapProofs
from schemas.similar import LeftOut

SAMPLES = Path(__file__).parents[2] / "data_samples"
SHIPPED = SAMPLES / "bundles" / "brain_mr"
PRIOR = Doubt(about="prevalence", words="the prior is wrong")


def proved(task: str, *, value: float) -> MapProof:
    figure = MapFigure(
        name="deleted", meaning="share of maps that pass", value=value, bound=0.5, is_floor=True,
        n_cases=40,
    )  # fmt: skip
    reasons = () if figure.holds else ("share of maps that pass: is 0.1, must be at least 0.5",)
    status = "passed" if figure.holds else "failed"
    return MapProof(
        task=task, status=status, n_cases=60, n_tested=40, figures=(figure,), reasons=reasons
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The shipped bundle with much against it: only the maps of the lesion are proved."""
    shipped = load_bundle(SHIPPED)
    first, *others = shipped.protocol.tasks
    proofs = (proved(first.name, value=0.9), *(proved(task.name, value=0.1) for task in others))
    doubted = shipped.metrics[0].model_copy(update={"doubts": (PRIOR,)})
    return replace(
        shipped,
        maps=MapProofs(seed=1, tasks=proofs),
        metrics=(
            doubted,
            *(one.model_copy(update={"doubts": ()}) for one in shipped.metrics[1:]),
        ),
        reference=replace(shipped.reference, scanners=("Acme One",), body_parts=("CHEST",)),
    )


@pytest.fixture(scope="module")
def cohort(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """One study of the sample."""
    folder = tmp_path_factory.mktemp("cohort")
    patient = sorted((SAMPLES / "brain_mr" / "dicom").iterdir())[0]
    shutil.copytree(patient, folder / "dicom" / patient.name)
    for name in ("tabular.csv", "notes.csv"):
        shutil.copy(SAMPLES / "brain_mr" / name, folder / name)
    return open_cohort(folder, bundle.protocol)


def test_a_report_names_scanner_and_doubt_and_shows_only_maps_that_are_proved(
    cohort: Cohort, bundle: Bundle, tmp_path: Path
) -> None:
    (study,) = cohort.inventory.studies
    assert study.scanner
    report, _ = Assessor(cohort, bundle, tmp_path).assess(study)
    said = {issue.code: issue for issue in report.issues}
    assert said[IssueCode.SCANNER_UNSEEN].severity is Severity.WARNING
    assert said[IssueCode.BODY_PART_UNSEEN].severity is Severity.WARNING
    assert "'HEAD'" in said[IssueCode.BODY_PART_UNSEEN].message
    assert said[IssueCode.CALIBRATION_DOUBTED].message == "lesion: the prior is wrong"
    assert report.status == "assessed"
    lesion, *others = report.risks
    assert lesion.map_proof is not None
    assert lesion.map_proof.status == "passed"
    for risk in others:
        assert (risk.heatmap, risk.regions) == (None, ())
        assert "maps of this task are not proved" in risk.heatmap_reason
        assert not (tmp_path / "studies" / study.study_uid / f"heatmap_{risk.task}.nii.gz").exists()
    page = (tmp_path / "studies" / study.study_uid / "report.html").read_text()
    assert "the maps of this task are not proved" in page
    assert "Proof of the maps of this task, on 40 of 60 test cases: passed" in page


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("unseen_scanner", IssueCode.SCANNER_UNSEEN),
        ("unseen_body_part", IssueCode.BODY_PART_UNSEEN),
    ],
)
def test_a_protocol_may_withhold_cases_of_a_scanner_or_body_part_that_training_never_saw(
    cohort: Cohort, bundle: Bundle, tmp_path: Path, part: str, code: IssueCode
) -> None:
    policy = bundle.protocol.assessment.model_copy(update={part: "withhold"})
    strict = replace(bundle, protocol=bundle.protocol.model_copy(update={"assessment": policy}))
    (study,) = cohort.inventory.studies
    report, _ = Assessor(cohort, strict, tmp_path).assess(study)
    assert report.status == "withheld"
    # Nor is such a study listed among the nearest to another.
    assert place(cohort, strict, study) == LeftOut(
        study_uid=study.study_uid, status="withheld", reasons=(code,)
    )


def test_a_neighbour_from_a_scanner_that_training_never_saw_is_marked(
    cohort: Cohort, bundle: Bundle
) -> None:
    (study,) = cohort.inventory.studies
    like = replace(bundle.reference, scanners=(study.scanner,), body_parts=("HEAD",))
    seen = replace(bundle, reference=like)
    other = replace(bundle, reference=replace(like, body_parts=("CHEST",)))
    for known, is_marked in ((seen, False), (bundle, True), (other, True)):
        found = place(cohort, known, study)
        assert isinstance(found, Place)
        assert found.is_unlike_training == is_marked


def test_a_bundle_that_was_never_proved_says_so(
    cohort: Cohort, bundle: Bundle, tmp_path: Path
) -> None:
    (study,) = cohort.inventory.studies
    Assessor(cohort, replace(bundle, maps=None), tmp_path).assess(study)
    page = (tmp_path / "studies" / study.study_uid / "report.html").read_text()
    assert "The maps of this bundle were never proved as a whole" in page
    assert maps_in_words(None) == ["maps: never proved"]


def test_proof_scanners_and_doubts_are_kept_with_the_bundle_and_hashed(
    bundle: Bundle, tmp_path: Path
) -> None:
    save_bundle(tmp_path, bundle, "card", making_of(SHIPPED))
    read = load_bundle(tmp_path)
    assert read.maps == bundle.maps
    assert read.reference.scanners == ("Acme One",)
    assert read.reference.body_parts == ("CHEST",)
    assert read.reference.history is not None
    assert bundle.reference.history is not None
    assert read.reference.history.limit == bundle.reference.history.limit
    assert np.array_equal(read.reference.history.precision, bundle.reference.history.precision)
    assert read.metrics[0].doubts == (PRIOR,)
    (tmp_path / MAPS).unlink()
    with pytest.raises(CheckpointError, match=r"maps\.json differs"):
        load_bundle(tmp_path)


def test_a_history_with_extreme_features_is_far_from_those_of_training_and_a_usual_one_is_not(
    cohort: Cohort, bundle: Bundle
) -> None:
    (study,) = cohort.inventory.studies
    case = read_case(cohort, study)
    usual = model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
    assert usual.text is not None
    assert usual.table is not None

    def said(inputs: ModelInput) -> list[str]:
        found = unlike_training(bundle, bundle.predict([inputs]), inputs, case)
        return [issue.message for issue in found]

    assert said(usual) == []
    assert said(replace(usual, text=None, table=None)) == []
    columns = torch.full_like(usual.table.values, 8.0)
    (message,) = said(replace(usual, table=replace(usual.table, values=columns)))
    assert "features of the history lie at" in message
    (message,) = said(replace(usual, text=replace(usual.text, features=-9 * usual.text.features)))
    assert "features of the history lie at" in message
