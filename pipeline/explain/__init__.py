"""Parts of a logit to evidence that a reader can follow, and its test."""

from pipeline.explain.contrast import contrasted
from pipeline.explain.deletion import Predict, check_maps, words_of
from pipeline.explain.evidence import evidence_of
from pipeline.explain.heatmap import heatmaps_of

__all__ = [
    "Predict", "check_maps", "contrasted", "evidence_of", "heatmaps_of", "words_of",
]  # fmt: skip
