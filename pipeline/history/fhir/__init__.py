"""FHIR R4 resources to the frames of a history."""

from pipeline.history.fhir.read import read_fhir

__all__ = ["read_fhir"]
