"""Cohort and protocol to a bundle."""

from pipeline.train.labelled import Source
from pipeline.train.train import train_bundle, train_on
from pipeline.train.work import Keeping

__all__ = ["Keeping", "Source", "train_bundle", "train_on"]
