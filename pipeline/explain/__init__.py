"""Parts of a logit to evidence that a reader can follow."""

from pipeline.explain.contrast import contrasted
from pipeline.explain.evidence import evidence_of
from pipeline.explain.heatmap import heatmaps_of

__all__ = ["contrasted", "evidence_of", "heatmaps_of"]
