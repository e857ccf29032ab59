"""Where a cohort's records come from: its own tables, FHIR, OMOP, or a database; one of them."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipeline.errors import UsageError
from pipeline.history.delivery import Delivery
from pipeline.history.fhir import read_fhir
from pipeline.history.frames import find_table
from pipeline.history.omop import FolderTables, open_database, read_omop
from pipeline.history.records import Records, read_files
from schemas.protocol import Protocol
from schemas.sources import FhirMapping, OmopMapping

FHIR, OMOP = "fhir", "omop"

Mapping = TypeVar("Mapping", FhirMapping, OmopMapping)


def load_records(cohort: Path, protocol: Protocol, *, database: str = "") -> Records:
    """Read all that is recorded about a cohort's patients.

    Parameters
    ----------
    cohort
        Holds ``tabular`` and ``notes``, either of which may be absent, or a folder ``fhir`` or
        ``omop`` instead.
    database
        SQLAlchemy URL of an OMOP database, in the place of all of these; "" for none.

    Raises
    ------
    UsageError
        If there is more than one source, the protocol does not say how to read it, or it cannot
        be read.
    """
    _check_single(cohort, has_database=bool(database))
    if (cohort / FHIR).is_dir():
        _check_decimal(protocol, "FHIR")
        resources = _mapping(protocol.sources.fhir, f"{cohort} holds fhir/", FHIR)
        return _records(read_fhir(cohort / FHIR, resources), resources.issuer, protocol)
    if not database and not (cohort / OMOP).is_dir():
        return read_files(cohort, protocol)
    tables = _mapping(protocol.sources.omop, f"the records of {cohort} are OMOP tables", OMOP)
    if database:
        _check_decimal(protocol, "a database")
        with open_database(database, tables.database_schema) as opened:
            return _records(read_omop(opened, tables), tables.issuer, protocol)
    return _records(read_omop(FolderTables(cohort / OMOP), tables), tables.issuer, protocol)


def _check_single(cohort: Path, *, has_database: bool) -> None:
    own = [path.name for stem in ("tabular", "notes") if (path := find_table(cohort, stem))]
    own += ["notes/"] if (cohort / "notes").is_dir() else []
    found = [" and ".join(own)] if own else []
    found += [f"{name}/" for name in (FHIR, OMOP) if (cohort / name).is_dir()]
    found += ["a database"] if has_database else []
    if len(found) > 1:
        msg = f"{cohort}: records come from {', '.join(found)}: keep one of them, since the same "
        msg += "record read twice, or two patients under one number, cannot be told"
        raise UsageError(msg)


def _check_decimal(protocol: Protocol, source: str) -> None:
    if protocol.export.decimal == ",":
        msg = f"the protocol's export.decimal is the comma, but numbers of {source} have a point: "
        msg += "leave it empty"
        raise UsageError(msg)


def _mapping(mapping: Mapping | None, what: str, name: str) -> Mapping:
    if mapping is None:
        msg = f"{what}, but the protocol does not say how to read them: add its section "
        msg += f"sources.{name}"
        raise UsageError(msg)
    return mapping


def _records(delivery: Delivery, issuer: str, protocol: Protocol) -> Records:
    table, notes = (frame.assign(issuer=issuer) for frame in (delivery.table, delivery.notes))
    records = Records.from_frames(table, notes, protocol)
    return replace(
        records, faults=(*delivery.faults, *records.faults), contradicted=delivery.contradicted
    )
