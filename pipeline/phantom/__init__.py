"""Simulated cohorts whose true risks are known; nothing in them is about a real person."""
