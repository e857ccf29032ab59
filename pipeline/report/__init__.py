"""A RiskReport and its pictures, as files that a reader opens."""

from pipeline.report.check import heatmap_name
from pipeline.report.index import write_index, write_predictions_csv
from pipeline.report.write import read_report, study_folder_name, write_report

__all__ = [
    "heatmap_name", "read_report", "study_folder_name", "write_index", "write_predictions_csv",
    "write_report",
]  # fmt: skip
