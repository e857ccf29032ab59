"""Files -> Series -> Volume: discover, group, order, decode, select."""

from pipeline.ingest.content import content_of
from pipeline.ingest.convert import ingest_folder
from pipeline.ingest.discover import discover
from pipeline.ingest.load import load_volume
from pipeline.ingest.select import select_series

__all__ = ["content_of", "discover", "ingest_folder", "load_volume", "select_series"]
