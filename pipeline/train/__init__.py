"""Cohort and protocol to a bundle."""

from pipeline.train.train import train_bundle, train_on

__all__ = ["train_bundle", "train_on"]
