"""Files -> Series -> Volume: discover, group, order, decode, select."""

from pipeline.ingest.discover import discover
from pipeline.ingest.load import load_volume
from pipeline.ingest.select import select_series

__all__ = ["discover", "load_volume", "select_series"]
