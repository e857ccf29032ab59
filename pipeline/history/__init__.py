"""Tables and notes to a History that ends at the scan."""

from pipeline.history.cut import history_at
from pipeline.history.labels import Labels, has_labels, label_columns, read_label_file, read_labels
from pipeline.history.load import load_records
from pipeline.history.pairing import Pairing, pair
from pipeline.history.records import Records

__all__ = [
    "Labels",
    "Pairing",
    "Records",
    "has_labels",
    "history_at",
    "label_columns",
    "load_records",
    "pair",
    "read_label_file",
    "read_labels",
]
