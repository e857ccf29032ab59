"""Tables and notes to a History that ends at the scan."""

from pipeline.history.cut import history_at
from pipeline.history.labels import Labels, read_labels
from pipeline.history.pairing import Pairing, pair
from pipeline.history.records import Records, load_records

__all__ = ["Labels", "Pairing", "Records", "history_at", "load_records", "pair", "read_labels"]
