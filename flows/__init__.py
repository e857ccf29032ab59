"""Prefect flows and the command line: which, in what order, how often, where to."""

from flows.environment import set_defaults

set_defaults()
