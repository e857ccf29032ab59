"""Malformed record files, each with the words that its fault must hold."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.protocol import Protocol
from tests.pipeline.history.question import QUESTION

PROTOCOL = Protocol.model_validate(
    QUESTION | {
        "table": [
            {"name": "age", "kind": "number", "unit": "years", "low": 0, "high": 120},
            {"name": "sex", "kind": "category", "categories": ["F", "M"], "undated": True},
            {"name": "smoker", "kind": "flag"},
            {
                "name": "glucose", "kind": "number", "unit": "mmol/L", "analyte": "glucose",
                "low": 0.5, "high": 60,
            },
        ],
    }
)  # fmt: skip
WIDE = "patient_id,recorded_at,age,sex,smoker,glucose"
LONG = "patient_id,recorded_at,name,value,unit"
NOTES = "patient_id,written_at,kind,text"
LABELS = "patient_id,study_uid,lesion"
DAY = "2024-05-01"


@dataclass(frozen=True)
class Malformed:
    """One malformed file."""

    name: str
    """What is wrong."""
    file: str
    content: bytes
    message: str
    """Words of the fault, its row among them where it has one."""
    stops: bool = True
    """Whether nothing can be read; else the fault is listed and the cell has no value."""


BAD_TIMES = (
    "yesterday", "2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "2024-05-00", "24-05-31",
    "31.5.24", "5/31/24", "31-May-24", "2024-05-31T25:00:00", "2024-05-31T24:00:00",
    "2024-05-31T14:60:00", "2024-05-31T14:30:61", "2024-05-31T14", "2024-05-31T1430",
    "2024-05-31T14:30:00+25:00", "14:30:00", "13/13/2024", "32/01/2024", "0/5/2024", "12345",
    "99999", "-45443", "45443,5", "2024.05", "May 2024", "2024-W22", "2024-152", "20241332",
    "1717165800", "31st of May", "2024-05-31 14:30 XYZ", "2024-05-31T14:30:00[Europe/Berlin]",
    "now()", "=TODAY()", "#####", "0000-00-00", "1900-01-00", "9999-12-31", "1.1.0001",
    "2024-05-31;2024-06-01", "2024-05-31 13:00 PM", "12/31", "<2024-05-31", "2024-05-3l",
    "\u0662\u0660\u0662\u0664-05-31", "2024\u201305\u201331",
)  # fmt: skip
TWO_WAY_TIMES = ("5/6/2024", "05.06.2024", "1-2-2024", "06/05/2024 10:00", "3/4/2024 1:00 PM")
OFFSET_TIMES = ("2024-05-31T14:30:00Z", "2024-05-31T14:30:00+02:00", "2024-05-31 14:30 -0500")
NO_NUMBERS = (
    "fifty", "5O", "l2", "inf", "-inf", "infinity", "1..2", "1,2,3", "1.2.3", "--5", "+-5", "5-10",
    "5 to 10", "5/10", "<>5", "<", "> ", "~5", "ca. 5", "5 5", "12 34", "0x1F", "1e", "1e+", "e5",
    ",", "$5", "(5)", "\u0665", "5;6", "1_000", "five hundred", "=A1", "see note", "120/80",
    "\u00bd", "1,23,456", "12,3456,7", "1'23", "=1+1", "+", "5!", "haemolysed", "9" * 200,
)  # fmt: skip
IMPLAUSIBLE = ("-1", "121", "500", "1e9", "1e999", "-0.5", ">200", "1 000", "12000")
AMBIGUOUS_NUMBERS = ("1,234", "12,345", "<1,234", "-1,234")
NO_CATEGORIES = ("X", "female", "0", "FM", "F/M", "weiblich", "\u2640", "f.", "'F'", "9")
NO_FLAGS = ("maybe", "2", "-1", "x", "yes and no", "0.5", "ye", "TRUE!", "quit", "ex", "former")
FOREIGN_UNITS = ("mL", "kg", "mmHg", "g/dL/h", "U/L", "%", "mmol", "mg", "parsec", "mEq/L", "???")


def malformed() -> Iterator[Malformed]:
    """Give all of them."""
    yield from _times()
    yield from _cells()
    yield from _headers()
    yield from _shapes()
    yield from _encodings()
    yield from _parquets()
    yield from _labels()


def _times() -> Iterator[Malformed]:
    kinds = (
        (BAD_TIMES, "row 3: is not a time"), (TWO_WAY_TIMES, "row 3: may be day/month"),
        (OFFSET_TIMES, "row 3: has a UTC offset"),
    )  # fmt: skip
    for texts, message in kinds:
        for text in texts:
            head = f"{WIDE}\n7,{DAY},50,F,no,\n"
            body = f'7,"{text}",51,F,no,\n'
            yield _text(f"table time {text}", "tabular.csv", head + body, f"recorded_at, {message}")
            head, body = f"{NOTES}\n7,{DAY},c,x\n", f'7,"{text}",c,y\n'
            yield _text(f"note time {text}", "notes.csv", head + body, f"written_at, {message}")
    for text in BAD_TIMES[:10]:
        content = f"{WIDE},available_at\n7,{DAY},50,F,no,,{text}\n"
        yield _text(f"release {text}", "tabular.csv", content, "available_at, row 2: is not a time")


def _cells() -> Iterator[Malformed]:
    kinds = (
        ("age", NO_NUMBERS, "is not a number|is in a unit"), ("age", IMPLAUSIBLE, "is outside"),
        ("age", AMBIGUOUS_NUMBERS, "may have a decimal"), ("sex", NO_CATEGORIES, "is none of F, M"),
        ("smoker", NO_FLAGS, "is neither yes nor no"),
    )  # fmt: skip
    for column, texts, message in kinds:
        for text in texts:
            content = f'{LONG}\n7,{DAY},age,50,\n7,{DAY},{column},"{text}",\n'
            yield _text(
                f"{column} {text[:20]}", "tabular.csv", content,
                f"column {column}, row 3: ({message})", stops=False,
            )  # fmt: skip
    for unit in FOREIGN_UNITS:
        content = f'{LONG}\n7,{DAY},glucose,5.5,"{unit}"\n'
        message = "column glucose, row 2: is in a unit that cannot be converted to mmol/L"
        yield _text(f"unit {unit}", "tabular.csv", content, message, stops=False)
    content = f"{LONG}\n7,{DAY},glucose,100 mg/dL,mmol/L\n"
    yield _text("two units", "tabular.csv", content, "row 2: is in a unit", stops=False)
    content = f"{LONG}\n,{DAY},age,50,\n"
    yield _text("nobody", "tabular.csv", content, "patient_id, row 2: has no", stops=False)
    content = f"{NOTES}\n,{DAY},c,text\n"
    yield _text("nobody's note", "notes.csv", content, "patient_id, row 2: has no", stops=False)
    content = f'{LONG}\n7,{DAY},age,"5,5",\n7,{DAY},age,"1.234",\n'
    yield _text("mixed decimals", "tabular.csv", content, "row 3: may have a", stops=False)


def _headers() -> Iterator[Malformed]:
    for sign in ",;\t|":
        for missing in ("patient_id", "recorded_at"):
            header = WIDE.replace(missing, "other").replace(",", sign)
            yield _text(
                f"no {missing} {sign}", "tabular.csv", header + "\n", f"no column {missing}"
            )
        for missing in ("patient_id", "written_at", "kind", "text"):
            header = NOTES.replace(missing, "other").replace(",", sign)
            yield _text(f"no {missing} {sign}", "notes.csv", header + "\n", f"no column {missing}")
    table = "tabular.csv"
    yield _text("twice", table, f"{WIDE},age\n", "two columns age")
    yield _text("twice but for case", table, f"{WIDE},Age\n", "two columns age")
    yield _text(
        "twice with a unit", table, f"{WIDE},age [years]\n", "column age: stands there twice"
    )
    yield _text("id twice", table, f"patient_id,{WIDE}\n", "two columns patient_id")
    yield _text("nothing known", table, "patient_id,recorded_at,x\n", "none of the protocol's")
    yield _text("unknown names", table, f"{LONG}\n7,{DAY},x,5,\n", "none of the protocol's")
    yield _text("own name", table, f"{WIDE},row\n", "may have no column row")
    yield _text("own source", table, f"{WIDE},source\n", "may have no column source")
    yield _text("empty file", table, "", "no column patient_id")
    yield _text("blank file", table, "\n\n\n", "no column patient_id")
    yield _text("no header", table, f"7,{DAY},50,F,no,\n", "no column patient_id")
    yield _text("spaces for commas", table, WIDE.replace(",", " "), "no column patient_id")
    yield _text("a title above", table, f"Export of May\n{WIDE}\n", "no column patient_id")
    yield _text("a page", table, "<html><body>Log in</body></html>", "no column patient_id")
    yield _text("json", table, '{"patient_id": 7, "recorded_at": 1}', "no column")
    yield _text("only sep", table, "sep=;\n", "no column patient_id")


def _shapes() -> Iterator[Malformed]:
    good = f"7,{DAY},50,F,no,\n"
    for place in range(4):
        rows = [good] * 4
        rows[place] = f"7,{DAY},50\n"
        short = f"row {place + 2}: has fewer cells"
        yield _text(f"short row {place}", "tabular.csv", f"{WIDE}\n{''.join(rows)}", short)
        rows[place] = f"7,{DAY},50,F,no,,extra\n"
        more = f"row {place + 2}: has more cells"
        yield _text(f"long row {place}", "tabular.csv", f"{WIDE}\n{''.join(rows)}", more)
    yield _text(
        "comma in a number", "tabular.csv", f"{WIDE}\n7,{DAY},5,5,F,no,\n", "row 2: has more"
    )
    yield _text("open quote", "notes.csv", f'{NOTES}\n7,{DAY},c,"text\n', "row 2: a quote is not")
    yield _text("text behind a quote", "notes.csv", f'{NOTES}\n7,{DAY},c,"a"b\n', "row 2: a quote")
    yield _text(
        "long cell", "notes.csv", f"{NOTES}\n7,{DAY},c,{'x' * 5_000_000}\n", "row 2: a quote"
    )
    yield _text(
        "long note", "notes.csv", f"{NOTES}\n7,{DAY},c,{'x ' * 600_000}\n", "row 2: has more"
    )
    many = ",".join(f"c{number}" for number in range(10_001))
    yield _text("wide", "tabular.csv", f"{WIDE},{many}\n", "too many columns")


def _encodings() -> Iterator[Malformed]:
    for number in (0, 1, 2, 7, 8, 14, 31, 127):
        content = f"{WIDE}\n7,{DAY},{chr(number)},F,no,\n".encode()
        yield Malformed(f"control {number}", "tabular.csv", content, "control characters")
    yield Malformed("picture", "tabular.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "control")
    yield Malformed("workbook", "tabular.csv", b"PK\x03\x04\x14\x00\x06\x00\x08", "control")
    yield Malformed("old workbook", "tabular.csv", bytes.fromhex("d0cf11e0a1b11ae1") * 9, "tabular")
    greeting = "M\u00fcller gr\u00fc\u00dft " * 9
    text = f"{NOTES}\n7,{DAY},c,{greeting}\n".encode()
    yield Malformed("broken UTF-8", "notes.csv", text + b"7,2024-05-01,c,\xfc\n", "row 3: is UTF-8")
    yield Malformed("cut UTF-8", "notes.csv", text[:-2] + b"\xc3", "row 2: is UTF-8 with")
    odd = f"{NOTES}\n7,{DAY},c,x\n".encode("utf-16")[:-1]
    yield Malformed("half a letter", "notes.csv", odd, "row 2: cannot be read as utf-16")
    lone = "".join([f"{NOTES}\n7,{DAY},c,", "\ud800", "x\n"]).encode("utf-16", "surrogatepass")
    yield Malformed("half a pair", "notes.csv", lone, "row 2: cannot be read as utf-16")
    doubt = f"{NOTES}\n7,{DAY},c,M\u00fcller\n".encode("cp1252")
    message = "read as Windows-1252; if that is wrong, say export: encoding"
    yield Malformed("assumed letters", "notes.csv", doubt, message, stops=False)
    doubt = f"{NOTES}\n7,{DAY},c,M\u00fcller\u0081\n".encode("latin-1")
    yield Malformed("assumed Latin-1", "notes.csv", doubt, "read as Latin-1", stops=False)


def _parquets() -> Iterator[Malformed]:
    name = "tabular.parquet"
    yield Malformed("no parquet", name, b"patient_id,recorded_at\n", "no readable parquet")
    yield Malformed("empty parquet", name, b"", "no readable parquet")
    yield Malformed("cut parquet", name, _parquet(patient_id=["7"])[:-9], "no readable parquet")
    yield Malformed("no id", name, _parquet(recorded_at=[DAY], age=[5]), "no column patient_id")
    floats = _parquet(patient_id=[7.0, None], recorded_at=[DAY, DAY], age=[5, 6])
    yield Malformed("id with a fraction", name, floats, "patient_id: holds numbers with a fraction")
    ints = _parquet(patient_id=[7], recorded_at=[DAY], age=[5])
    yield Malformed("id as number", name, ints, "leading zeros are lost", stops=False)
    lists = _parquet(patient_id=["7"], recorded_at=[DAY], age=[[5, 6]])
    yield Malformed("list", name, lists, "age: of type list")
    structs = _parquet(patient_id=["7"], recorded_at=[DAY], age=[{"value": 5}])
    yield Malformed("struct", name, structs, "age: of type struct")
    broken = _parquet(patient_id=["7"], recorded_at=[DAY], sex=[b"\xff\xfe"])
    yield Malformed("bytes", name, broken, "sex: of type binary")
    nothing = _parquet(patient_id=["7"], recorded_at=[DAY], other=[1])
    yield Malformed("nothing known", name, nothing, "none of the protocol's")
    bad = _parquet(patient_id=["7"], recorded_at=["5/6/2024"], age=[5])
    yield Malformed("time", name, bad, "recorded_at, row 2: may be day/month")


def _labels() -> Iterator[Malformed]:
    for text in ("2", "yes", "0.5", "-1", "x", "1 ", "01", "true", "1,0", "0/1"):
        if text.strip() in ("0", "1"):
            continue
        content = f'{LABELS}\n7,1.2,1\n7,1.3,"{text}"\n'
        yield _text(f"label {text}", "labels.csv", content, "lesion, row 3: may hold only 0, 1")
    twice = f"{LABELS}\n7,1.2,1\n7,1.3,1\n7,1.2,0\n"
    yield _text("study twice", "labels.csv", twice, "study_uid, rows 2, 4: names a study twice")
    yield _text("no study", "labels.csv", f"{LABELS}\n7,,1\n", "study_uid, row 2: is empty")
    yield _text(
        "nobody's label", "labels.csv", f"{LABELS}\n,1.2,1\n", "patient_id, row 2: is empty"
    )
    for missing in ("patient_id", "study_uid", "lesion"):
        header = LABELS.replace(missing, "other")
        yield _text(f"no {missing}", "labels.csv", f"{header}\n", f"no column {missing}")


def _text(name: str, file: str, content: str, message: str, *, stops: bool = True) -> Malformed:
    return Malformed(name, file, content.encode(), message, stops)


def _parquet(**columns: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()
