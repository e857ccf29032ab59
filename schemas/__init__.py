"""Values that cross a process or disk boundary: pydantic models, no arrays."""
