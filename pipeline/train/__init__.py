"""Cohort and protocol to a bundle."""

from pipeline.train.train import train_bundle

__all__ = ["train_bundle"]
