"""Case to the tensors that the network reads."""

from pipeline.preprocess.image import image_input, model_grid
from pipeline.preprocess.table import TableTransform, fit_table_transform, table_input

__all__ = ["TableTransform", "fit_table_transform", "image_input", "model_grid", "table_input"]
