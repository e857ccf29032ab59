"""Prefect flows and the command line: which, in what order, how often, where to."""
