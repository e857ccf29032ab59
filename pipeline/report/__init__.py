"""A RiskReport and its pictures, as files that a reader opens."""

from pipeline.report.index import write_index, write_predictions_csv
from pipeline.report.write import read_report, write_report

__all__ = ["read_report", "write_index", "write_predictions_csv", "write_report"]
