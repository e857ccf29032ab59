"""Write the JSON Schema: ``python -m pipeline.report docs/reference/report.schema.json``."""

import sys
from pathlib import Path

from pipeline.files import write_text
from pipeline.report.schema import schema_text

write_text(Path(sys.argv[1]), schema_text())
