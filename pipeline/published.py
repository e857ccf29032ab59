"""JSON Schemas of the files that Synopt writes, as they are published."""

import json

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DatetimeSchema

from schemas.base import FrozenModel

TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$"


class _LocalTimes(GenerateJsonSchema):
    """Times may lack a zone (the scanner's local time), which the format ``date-time`` forbids."""

    def datetime_schema(self, schema: DatetimeSchema) -> JsonSchemaValue:
        """Return ISO 8601 with an optional zone."""
        return {"type": "string", "pattern": TIME_PATTERN}


def published_schema(model: type[FrozenModel], *, title: str, description: str) -> JsonSchemaValue:
    """Return the schema of a written file: every field is there, and no other."""
    body = model.model_json_schema(mode="serialization", schema_generator=_LocalTimes)
    body |= {"title": title, "description": description}
    return {"$schema": GenerateJsonSchema.schema_dialect, **body}


def schema_file(schema: JsonSchemaValue) -> str:
    """Return a published schema's file content."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
