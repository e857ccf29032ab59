"""The protocol's concepts, found in notes and resolved to one value each."""

from pipeline.history.concepts.extract import Extractor, Found, extractor_for
from pipeline.history.concepts.resolve import read_concepts

__all__ = ["Extractor", "Found", "extractor_for", "read_concepts"]
