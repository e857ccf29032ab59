"""The main job on real scanner data, with no history and a bundle that never saw such data."""

from pathlib import Path

import pytest

from flows.assess import assess_cohort
from schemas.issue import Severity, has_errors
from schemas.report import RiskReport

SHARED = next(
    (
        parent / "shared" / "dicom"
        for parent in Path(__file__).resolve().parents
        if (parent / "shared" / "dicom").is_dir()
    ),
    None,
)
pytestmark = [
    pytest.mark.flow,
    pytest.mark.usefixtures("prefect"),
    pytest.mark.skipif(SHARED is None, reason="the folder shared/dicom is not beside the checkout"),
]
FOLDERS = [
    "ct_body_totalseg",
    "ct_head_tilt_philips",
    "dicom2nifti_edge_cases",
    "mr_philips_classic_vs_enhanced",
    "mr_siemens_t1_sag",
    "mr_transfer_syntaxes",
]


@pytest.mark.parametrize("name", FOLDERS)
def test_real_data_gives_a_report_that_withholds_or_the_reason_for_a_refusal(
    name: str, bundle: Path, tmp_path: Path
) -> None:
    assert SHARED is not None
    summary = assess_cohort(SHARED / name, bundle, tmp_path, quiet=True)
    assert summary.n_studies > 0
    paths = list(tmp_path.glob("studies/*/report.json"))
    assert len(paths) == summary.n_studies
    for path in paths:
        report = RiskReport.model_validate_json(path.read_text())
        assert report.bundle.name == "brain_mr"
        assert report.status in ("withheld", "refused")
        assert all(risk.probability is None for risk in report.risks)
        codes = {issue.code for issue in report.issues}
        if report.status == "withheld":
            assert codes & {"out-of-distribution", "nothing-to-read"}
            assert codes & {"history-missing", "patient-unknown"}
        else:
            reasons = [*report.issues, *(i for use in report.series for i in use.issues)]
            assert has_errors(reasons)
        assert all(issue.severity in Severity for issue in report.issues)
    assert not (tmp_path / "faults.log").exists()
