"""A batch whose records come from FHIR or a database says the same as one from csv."""

import json
import re
import shutil
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.settings import PREFECT_HOME

from flows.assess import assess_cohort
from flows.cli import main
from schemas.protocol import Protocol
from schemas.report import RiskReport
from tests.record_sources import (
    FHIR_SOURCE,
    OMOP_SOURCE,
    fhir_resources,
    fill_database,
    omop_rows,
    write_ndjson,
)

BROKEN = {"resourceType": "Observation", "status": "zebra", "code": {"text": "zebra"}}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def protocol(bundle: Path, tmp_path: Path) -> Path:
    """The bundle's own, with the mappings of a site."""
    content = yaml.safe_load((bundle / "configs" / "protocol.yaml").read_text())
    table = {column["name"] for column in content["table"]}
    sources = {
        name: source | {"columns": [item for item in source["columns"] if item["column"] in table]}
        for name, source in (("fhir", FHIR_SOURCE), ("omop", OMOP_SOURCE))
    }
    content |= {"sources": sources, "timezone": "Europe/Berlin"}
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def read(out: Path) -> dict[str, RiskReport]:
    paths = sorted(out.glob("studies/*/report.json"))
    return {path.parent.name: RiskReport.model_validate_json(path.read_text()) for path in paths}


def without_tables(cohort: Path, target: Path) -> Path:
    shutil.copytree(cohort / "dicom", target / "dicom")
    return target


@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_reports_do_not_depend_on_where_the_records_come_from(
    cohort: Path, bundle: Path, protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{tmp_path / 'zebra-secret.sqlite'}"
    fill_database(database, omop_rows(cohort))
    resources = fhir_resources(cohort, ZoneInfo("Europe/Berlin"))
    write_ndjson(without_tables(cohort, tmp_path / "by_fhir") / "fhir", resources)
    (tmp_path / "by_fhir" / "fhir" / "bad.json").write_text(json.dumps(BROKEN))
    without_tables(cohort, tmp_path / "by_database")
    found = {}
    for name in ("cohort", "by_fhir", "by_database"):
        monkeypatch.setenv("SYNOPT_RECORDS", database if name == "by_database" else "")
        out = tmp_path / f"{name}_out"
        summary = assess_cohort(tmp_path / name, bundle, out, protocol=protocol, quiet=True)
        assert summary.n_assessed == 3
        found[name] = read(out)
    assert any(report.history.n_values for report in found["cohort"].values())
    for study, expected in found["cohort"].items():
        for name in ("by_fhir", "by_database"):
            report = found[name][study]
            assert report.risks == expected.risks
            assert report.history == expected.history
            # A fault names the file and row that it was found in, and is part of the history.
            if not any(" row " in issue.message for issue in expected.issues):
                assert report.run.history_sha256 == expected.run.history_sha256
    index = (tmp_path / "by_fhir_out" / "index.html").read_text()
    assert re.search(r"<li>\d+ . <code>record-unreadable</code></li>", index)
    assert "zebra" not in index
    check_no_secret(Path(str(PREFECT_HOME.value())))


def check_no_secret(home: Path) -> None:
    """Prefect keeps the parameters of a flow; the URL is none of them."""
    stores = [path for path in home.rglob("*.db*") if path.is_file()]
    assert stores
    assert all(b"zebra-secret" not in path.read_bytes() for path in stores)


def test_an_inspection_names_what_could_not_be_read(
    cohort: Path, protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = fhir_resources(cohort, ZoneInfo("Europe/Berlin"))
    write_ndjson(without_tables(cohort, tmp_path / "by_fhir") / "fhir", resources)
    (tmp_path / "by_fhir" / "fhir" / "bad.json").write_text(json.dumps(BROKEN))
    arguments = ["inspect", str(tmp_path / "by_fhir"), "--protocol", str(protocol)]
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    (page,) = (tmp_path / "out").glob("*.html")
    text = page.read_text()
    assert "fhir/bad.json: resource 1: Observation: status: Input should be" in text
    assert "zebra" not in text


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_every_command_that_reads_a_cohort_reads_its_database(
    command: str, cohort: Path, protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """An empty database is read, and its lack of tables is what stops the command."""
    for name in ("tabular.csv", "notes.csv"):
        (cohort / name).unlink()
    (tmp_path / "empty.sqlite").touch()
    shutil.copy(ROOT / "data_samples" / "brain_mr" / "labels.csv", cohort)
    arguments = [command, str(cohort), "--protocol", str(protocol), "--out", str(tmp_path / "out")]
    arguments += ["--records", f"sqlite:///{tmp_path / 'empty.sqlite'}"]
    monkeypatch.setattr(sys, "argv", ["synopt", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "the database has no table person, which the mapping reads" in capsys.readouterr().err


def test_the_example_of_the_documentation_is_a_valid_mapping() -> None:
    text = (ROOT / "docs" / "history.md").read_text()
    section = text[text.index("## FHIR and OMOP") :]
    example = section[section.index("```yaml") + len("```yaml") :]
    content = yaml.safe_load((ROOT / "data_samples" / "protocols" / "brain_mr.yaml").read_text())
    content["table"] += [{"name": "steroids", "kind": "flag"}]
    content["concepts"] = []
    content |= yaml.safe_load(example[: example.index("```")])
    mapped = Protocol.model_validate(content).sources
    assert mapped.fhir is not None
    assert mapped.omop is not None
