"""A parquet file's columns as text, without what its types would change silently."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RecordsError
from pipeline.history.faults import fault

_ID = "patient_id"
ZEROS = "column patient_id is stored as numbers, so leading zeros are lost; store it as text"


def read_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return all columns as stripped text, "" where empty, and what is doubtful.

    Raises
    ------
    RecordsError
        If it is no parquet file, or a column is of a type that is no single value.
    """
    try:
        # A folder's name may look like a partition (a=b); only this one file is read.
        table = pq.ParquetFile(path).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RecordsError([fault(path.name, "is no readable parquet file")]) from error
    columns, faults = {}, []
    for name in table.column_names if len(set(table.column_names)) == table.num_columns else ():
        try:
            columns[name] = _text(table.column(name)).to_pandas().astype("str")
        except (ValueError, TypeError, pa.ArrowException):
            kind = table.schema.field(name).type
            faults.append(fault(path.name, f"of type {kind} is no single value", column=name))
    if not columns and not faults:
        faults.append(fault(path.name, "names a column twice, or has none"))
    if faults:
        raise RecordsError(faults)
    return pd.DataFrame(columns), _doubts(path, table)


def _doubts(path: Path, table: pa.Table) -> list[str]:
    names = {name.strip().casefold(): name for name in table.column_names}
    if _ID not in names:
        return []
    kind = table.schema.field(names[_ID]).type
    if pa.types.is_floating(kind):
        text = "holds numbers with a fraction, which are no identifiers; store it as text"
        raise RecordsError([fault(path.name, text, column=_ID)])
    return [ZEROS] if pa.types.is_integer(kind) else []


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_timestamp(kind):
        column = _times(column)
    elif pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    text = column.cast(pa.large_string())
    return pc.fill_null(pc.utf8_trim_whitespace(text), "")


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write times as ISO 8601, those with a zone in UTC."""
    has_zone = column.type.tz is not None
    try:
        column = column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # There are nanoseconds.
        column = column.cast(pa.timestamp("ns"))
    text = column.cast(pa.large_string())
    return pc.binary_join_element_wise(text, "Z", "") if has_zone else text
