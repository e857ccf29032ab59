"""A cohort looked at before anything is trained on it."""

from pipeline.inspect.gather import InspectedStudy, inspect_studies, inspection_of
from pipeline.inspect.write import write_inspection

__all__ = ["InspectedStudy", "inspect_studies", "inspection_of", "write_inspection"]
