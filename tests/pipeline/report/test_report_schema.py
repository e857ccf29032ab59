import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from report_examples import report, withheld_report

from pipeline.report.schema import check_json, report_schema, schema_text

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "report.schema.json"
RENEW = "python -m pipeline.report docs/reference/report.schema.json"


def test_the_published_schema_is_up_to_date():
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), f"renew it with: {RENEW}"


def test_the_schema_is_a_valid_schema_with_a_title_and_no_id():
    schema = report_schema()
    Draft202012Validator.check_schema(schema)
    assert "$id" not in schema
    assert schema["title"] == "Synopt risk report"
    assert "not a medical device" in schema["description"]


@pytest.mark.parametrize("made", [report(), withheld_report()], ids=["assessed", "withheld"])
def test_a_report_fits_the_published_schema(made):
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    document = json.loads(made.model_dump_json())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


def test_a_report_without_one_of_the_promised_fields_does_not_fit():
    promised = ("study_uid", "patient_id", "bundle", "issues", "risks")
    for name in promised:
        body = json.loads(report().model_dump_json())
        del body[name]
        with pytest.raises(ValueError, match="does not fit its schema"):
            check_json(json.dumps(body))


def test_a_time_without_a_zone_fits_and_a_word_does_not():
    schema = report_schema()
    body = json.loads(report().model_dump_json())
    assert body["acquired_at"] == "2025-03-14T16:42:05"
    Draft202012Validator(schema).validate(body)
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate(body | {"created_at": "yesterday"})


def test_a_schema_fault_names_the_place_and_not_the_value():
    body = json.loads(report().model_dump_json())
    body["patient_id"] = {"secret": 1}
    with pytest.raises(ValueError, match=r"\$\.patient_id: type$"):
        check_json(json.dumps(body))
