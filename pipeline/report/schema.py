"""The JSON Schema of report.json.

``python -m pipeline.report docs/reference/report.schema.json`` writes the published file.
"""

import json
from functools import cache

from jsonschema import Draft202012Validator
from pydantic.json_schema import JsonSchemaValue

from pipeline.published import published_schema, schema_file
from schemas.report import RiskReport

TITLE = "Synopt risk report"
DESCRIPTION = (
    "One study's report, as Synopt writes it to report.json. "
    "Decision support for research; not a medical device."
)


def report_schema() -> JsonSchemaValue:
    """Return the schema of a written report: every field is there, and no other."""
    return published_schema(RiskReport, title=TITLE, description=DESCRIPTION)


def schema_text() -> str:
    """Return the published file's content."""
    return schema_file(report_schema())


def check_json(text: str) -> None:
    """Hold a report's JSON against the schema.

    Raises
    ------
    ValueError
        If it does not fit; the message names the place, not the value.
    """
    error = next(_validator().iter_errors(json.loads(text)), None)
    if error is not None:
        msg = f"report.json does not fit its schema at {error.json_path}: {error.validator}"
        raise ValueError(msg)


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(report_schema())
