"""Parts of a logit to evidence that a reader can follow, and its test."""

from pipeline.explain.ask import Predict
from pipeline.explain.contrast import contrasted
from pipeline.explain.deletion import check_maps, words_of
from pipeline.explain.evidence import evidence_of
from pipeline.explain.heatmap import heatmaps_of
from pipeline.explain.proof import ProofCase, prove
from pipeline.explain.verdict import refusal

__all__ = [
    "Predict", "ProofCase", "check_maps", "contrasted", "evidence_of", "heatmaps_of", "prove",
    "refusal", "words_of",
]  # fmt: skip
