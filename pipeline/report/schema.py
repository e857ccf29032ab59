"""The JSON Schema of report.json.

``python -m pipeline.report docs/reference/report.schema.json`` writes the published file.
"""

import json
from functools import cache

from jsonschema import Draft202012Validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DatetimeSchema

from schemas.report import RiskReport

TITLE = "Synopt risk report"
DESCRIPTION = (
    "One study's report, as Synopt writes it to report.json. "
    "Decision support for research; not a medical device."
)
TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$"


class _LocalTimes(GenerateJsonSchema):
    """Times may lack a zone (the scanner's local time), which the format ``date-time`` forbids."""

    def datetime_schema(self, schema: DatetimeSchema) -> JsonSchemaValue:
        """Return ISO 8601 with an optional zone."""
        return {"type": "string", "pattern": TIME_PATTERN}


def report_schema() -> JsonSchemaValue:
    """Return the schema of a written report: every field is there, and no other."""
    body = RiskReport.model_json_schema(mode="serialization", schema_generator=_LocalTimes)
    body |= {"title": TITLE, "description": DESCRIPTION}
    return {"$schema": GenerateJsonSchema.schema_dialect, **body}


def schema_text() -> str:
    """Return the published file's content."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


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
