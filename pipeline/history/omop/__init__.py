"""OMOP CDM v5.4 tables to the frames of a history."""

from pipeline.history.omop.database import open_database
from pipeline.history.omop.files import FolderTables
from pipeline.history.omop.read import read_omop

__all__ = ["FolderTables", "open_database", "read_omop"]
