"""Parts of a logit to evidence that a reader can follow, and its test."""

from pipeline.explain.asked import ReadAll, Told, ask
from pipeline.explain.changes import Record
from pipeline.explain.contrast import contrasted
from pipeline.explain.deletion import QUIET_LOGIT, check_maps, deletion_of, judged, words_of
from pipeline.explain.evidence import evidence_of
from pipeline.explain.heatmap import heatmaps_of
from pipeline.explain.measure import LEAST_CLAIM, claims_of
from pipeline.explain.proof import ProofCase, prove
from pipeline.explain.reading import Predict
from pipeline.explain.verdict import MIN_TESTED, refusal
from pipeline.explain.what_if import what_if_of, with_each_left_out

__all__ = [
    "LEAST_CLAIM", "MIN_TESTED", "QUIET_LOGIT",
    "Predict", "ProofCase", "ReadAll", "Record", "Told", "ask",
    "check_maps", "claims_of", "contrasted", "deletion_of", "evidence_of", "heatmaps_of", "judged",
    "prove", "refusal", "what_if_of", "with_each_left_out", "words_of",
]  # fmt: skip
