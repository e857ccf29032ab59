"""Simulated cohorts whose true risks are known; nothing in them is about a real person."""

from pipeline.phantom.cohort import write_cohort
from pipeline.phantom.patient import Design
from pipeline.phantom.site import Matrix, read_size
from pipeline.phantom.worlds import WORLDS

__all__ = ["WORLDS", "Design", "Matrix", "read_size", "write_cohort"]
