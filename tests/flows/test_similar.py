"""From a cohort folder to the nearest cases, through the command line."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipeline.bundle import load_bundle, making_of, save_bundle
from pipeline.errors import UsageError
from pipeline.ingest import discover
from schemas.issue import Issue, IssueCode, Severity
from schemas.similar import SimilarCases
from tests.flows.conftest import BUNDLE, SAMPLE


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle as if it had been trained with the contrast; its space is no better."""
    bundle = load_bundle(BUNDLE)
    training = bundle.protocol.training.model_copy(update={"contrast_weight": 0.1})
    folder = tmp_path_factory.mktemp("bundle")
    protocol = bundle.protocol.model_copy(update={"training": training})
    save_bundle(folder, replace(bundle, protocol=protocol), "card", making_of(BUNDLE))
    return folder


def add(cohort: Path, number: int) -> list[Path]:
    """Add another patient's study to the cohort; return its files."""
    patient = sorted((SAMPLE / "dicom").iterdir())[number]
    shutil.copytree(patient, cohort / "dicom" / patient.name)
    return sorted(path for path in (cohort / "dicom" / patient.name).rglob("*") if path.is_file())


def test_the_nearest_cases_are_printed_and_written_without_who_they_are(
    cohort: Path, spaced: Path, tmp_path: Path
) -> None:
    uids = [study.study_uid for study in discover(cohort / "dicom").studies]
    cut, *_ = add(cohort, 4)
    cut.write_bytes(cut.read_bytes()[:-40])
    _, *others = add(cohort, 5)
    for path in others:
        path.unlink()
    out = tmp_path / "made" / "nearest.json"
    arguments = ["similar", uids[0], "--cohort", str(cohort), "--bundle", str(spaced)]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(out), "-n", "1"])
    assert shown.exit_code == 1, shown.output
    found = SimilarCases.model_validate_json(out.read_text())
    assert found.n_compared == 2
    (nearest,) = found.neighbours
    assert nearest.study_uid in uids[1:]
    assert {(study.status, *study.reasons) for study in found.left_out} == {
        ("refused", IssueCode.PIXELS_UNREADABLE), ("refused", IssueCode.SERIES_TOO_SHORT),
    }  # fmt: skip
    for uid in (nearest.study_uid, *(study.study_uid for study in found.left_out)):
        assert uid in shown.output
    assert f"{nearest.similarity:.3f}" in shown.output
    assert str(out) in shown.output
    patients = [path.name for path in (cohort / "dicom").iterdir()]
    for told in (shown.output, out.read_text()):
        assert not any(patient in told for patient in patients)


def test_cases_unlike_the_training_cases_are_withheld_as_an_assessment_does(
    cohort: Path, spaced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = [study.study_uid for study in discover(cohort / "dicom").studies]
    severities = iter([Severity.WARNING, Severity.ERROR, Severity.WARNING])

    def unlike(*_: object) -> list[Issue]:
        code = IssueCode.OUT_OF_DISTRIBUTION
        return [Issue(code=code, severity=next(severities), message="unlike")]

    monkeypatch.setattr("pipeline.similar.unlike_training", unlike)
    out = tmp_path / "nearest.json"
    arguments = ["similar", uids[0], "--cohort", str(cohort), "--bundle", str(spaced)]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(out), "--quiet"])
    assert (shown.exit_code, shown.output) == (0, "")
    found = SimilarCases.model_validate_json(out.read_text())
    (withheld,) = found.left_out
    assert withheld.study_uid == uids[1]
    assert (withheld.status, *withheld.reasons) == ("withheld", IssueCode.OUT_OF_DISTRIBUTION)
    assert [one.study_uid for one in found.neighbours] == [uids[2]]
    assert found.is_unlike_training
    assert found.neighbours[0].is_unlike_training


def test_a_bundle_without_a_space_is_refused_before_the_cohort_is_read(
    cohort: Path, bundle: Path
) -> None:
    shutil.rmtree(cohort / "dicom")
    shown = CliRunner().invoke(
        app, ["similar", "1.2", "--cohort", str(cohort), "--bundle", str(bundle)]
    )
    assert isinstance(shown.exception, UsageError)
    assert "training.contrast_weight" in str(shown.exception)
