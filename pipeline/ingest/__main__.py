"""Write the JSON Schema: ``python -m pipeline.ingest docs/reference/series.schema.json``."""

import sys
from pathlib import Path

from pipeline.files import write_text
from pipeline.ingest.convert import report_schema_text

write_text(Path(sys.argv[1]), report_schema_text())
