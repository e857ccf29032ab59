"""OMOP tables as csv or parquet files of one folder."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.history.omop.tables import CHUNK, Wanted, actual_names, as_text

MAX_BYTES = 64_000_000_000
MAX_HEADER = 65_536


@dataclass(frozen=True, slots=True)
class FolderTables:
    """A folder with one file a table: ``measurement.csv`` or ``measurement.parquet``, say."""

    folder: Path

    def place(self, table: str) -> str:
        """Return the file's name below the cohort folder."""
        path = self._path(table)
        return f"{self.folder.name}/{path.name if path else table}"

    def chunks(self, wanted: Wanted) -> Iterator[pd.DataFrame]:
        """Give the wanted rows and columns as text."""
        path = self._path(wanted.table)
        if path is None:
            msg = f"{self.folder} has no {wanted.table}.csv or .parquet, which the mapping reads"
            raise UsageError(msg)
        place = self.place(wanted.table)
        if path.stat().st_size > MAX_BYTES:
            msg = f"{place} is larger than {MAX_BYTES} bytes: put the tables into a database"
            raise UsageError(msg)
        parts = _parquet if path.suffix == ".parquet" else _csv
        try:
            for part in parts(path, wanted, place):
                text = as_text(part, wanted)
                if wanted.key:
                    text = text[text[wanted.key].isin({str(number) for number in wanted.ids})]
                yield text.reset_index(drop=True)
        except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
            msg = f"{place} is not a readable {path.suffix[1:]} file (a csv is UTF-8)"
            raise UsageError(msg) from error

    def _path(self, table: str) -> Path | None:
        names = {f"{table}.csv", f"{table}.parquet"}
        found = sorted(path for path in self.folder.iterdir() if path.name.lower() in names)
        if len(found) > 1:
            msg = f"{self.folder} holds both {found[0].name} and {found[1].name}: keep one"
            raise UsageError(msg)
        return found[0] if found else None


def _csv(path: Path, wanted: Wanted, place: str) -> Iterator[pd.DataFrame]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline(MAX_HEADER)
    # OHDSI's own exports are named csv and separated by tabs.
    mark = "\t" if "\t" in header else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        found = next(csv.reader(stream, delimiter=mark), [])
    names = actual_names(wanted, found, place=place)
    with pd.read_csv(
        path, sep=mark, dtype=str, keep_default_na=False, encoding="utf-8-sig",
        usecols=list(names), chunksize=CHUNK,
    ) as chunks:  # fmt: skip
        for chunk in chunks:
            yield chunk.rename(columns=names)


def _parquet(path: Path, wanted: Wanted, place: str) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(path) as file:
        names = actual_names(wanted, file.schema_arrow.names, place=place)
        for batch in file.iter_batches(CHUNK, columns=list(names)):
            cells = {names[name]: batch.column(name).to_pylist() for name in batch.schema.names}
            yield pd.DataFrame(cells, dtype=object)
