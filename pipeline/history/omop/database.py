"""OMOP tables in any database that SQLAlchemy speaks to; nothing is ever written there.

A URL may hold a password. No message holds the URL, a value, or what the driver said.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from pipeline.errors import UsageError
from pipeline.history.omop.tables import CHUNK, Wanted, actual_names, as_text

MAX_IDS = 5_000


@dataclass(frozen=True, slots=True)
class DatabaseTables:
    """An open database.

    Parameters
    ----------
    engine
        Open.
    schema
        That holds the tables; "" is the database's default.
    """

    engine: Engine
    schema: str

    def place(self, table: str) -> str:
        """Return the kind of database and the table."""
        return f"{self.engine.dialect.name} table {table}"

    def chunks(self, wanted: Wanted) -> Iterator[pd.DataFrame]:
        """Give the wanted rows and columns as text."""
        place = self.place(wanted.table)
        with _plainly(place):
            table, names = self._reflect(wanted, place)
            columns = [table.c[name] for name in names]
            statement = select(*columns)
            by_lower = {column.name.lower(): column for column in table.c}
            row_id = by_lower.get(f"{wanted.table}_id")
            if row_id is not None:
                statement = statement.order_by(row_id)
            for ids in _batches(wanted.ids) if wanted.key else [()]:
                limited = statement.where(by_lower[wanted.key].in_(ids)) if ids else statement
                with self._connection() as connection:
                    result = connection.execute(limited)
                    for rows in result.partitions(CHUNK):
                        part = pd.DataFrame(rows, columns=list(names.values()), dtype=object)
                        yield as_text(part, wanted)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            options = {"stream_results": True, "yield_per": CHUNK}
            if self.engine.dialect.name == "postgresql":
                options |= {"postgresql_readonly": True}
            yield connection.execution_options(**options)

    def _reflect(self, wanted: Wanted, place: str) -> tuple[Table, dict[str, str]]:
        """Return the table with the columns that it really has, and the wanted ones' names."""
        schema = self.schema or None
        inspector = inspect(self.engine)
        tables = inspector.get_table_names(schema) + inspector.get_view_names(schema)
        found = [name for name in tables if name.lower() == wanted.table]
        if not found:
            msg = f"the database has no table {wanted.table}, which the mapping reads"
            raise UsageError(msg)
        columns = [column["name"] for column in inspector.get_columns(found[0], schema)]
        names = actual_names(wanted, columns, place=place)
        # Columns without types: cells come as the driver gives them, a malformed date as text.
        bare: list[Column[object]] = [Column(name) for name in columns]
        return Table(found[0], MetaData(), *bare, schema=schema), dict(names)


@contextmanager
def open_database(url: str, schema: str) -> Iterator[DatabaseTables]:
    """Open a database for reading; close it when the block ends.

    Raises
    ------
    UsageError
        If the URL, its driver or its file cannot be used.
    """
    with _plainly("the database"):
        parsed = _parsed(url)
        engine = create_engine(parsed, hide_parameters=True)
    try:
        yield DatabaseTables(engine, schema)
    finally:
        engine.dispose()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ValueError:
        msg = "the database's URL is malformed: write DIALECT+DRIVER://USER:PASSWORD@HOST/NAME"
        raise UsageError(msg) from None
    # SQLite would make an empty database where there is none.
    file = parsed.database or ":memory:"
    is_path = parsed.get_backend_name() == "sqlite" and not file.startswith((":memory:", "file:"))
    if is_path and not Path(file).is_file():
        msg = "the SQLite file of the database's URL does not exist"
        raise UsageError(msg)
    return parsed


@contextmanager
def _plainly(place: str) -> Iterator[None]:
    """Say in one sentence what went wrong, without what a driver's message may reveal."""
    try:
        yield
    except (NoSuchModuleError, ImportError):
        msg = f"{place}: its driver is not installed (pip install 'synopt[postgresql]', say)"
        raise UsageError(msg) from None
    except NoSuchTableError:
        msg = f"{place}: the table is not there"
        raise UsageError(msg) from None
    except SQLAlchemyError as error:
        msg = f"{place} cannot be read ({type(error).__name__}): check the URL, the permissions "
        msg += "and that the server runs"
        raise UsageError(msg) from None


def _batches(ids: frozenset[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), MAX_IDS):
        yield ordered[start : start + MAX_IDS]
