"""Simulated cohorts whose true risks are known; nothing in them is about a real person."""

from pipeline.phantom.cohort import write_cohort

__all__ = ["write_cohort"]
