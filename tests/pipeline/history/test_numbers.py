import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.history.numbers import AMBIGUOUS, NO_NUMBER, read_number
from pipeline.history.units import converter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5.0), ("-3.2", -3.2), ("\N{MINUS SIGN}3.2", -3.2), ("5,4", 5.4), ("0,500", 0.5),
        ("1.234", 1.234), ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("1,234,567", 1234567.0),
        ("1.234.567", 1234567.0), ("1 234", 1234.0), ("1\N{NO-BREAK SPACE}234,5", 1234.5),
        ("1'234.5", 1234.5), ("1.2E+3", 1200.0), (".5", 0.5), ("5.", 5.0), ("1,5e2", 150.0),
    ],
)  # fmt: skip
def test_a_number_is_read_as_it_is_commonly_written(text: str, number: float) -> None:
    assert read_number(text).number == number


@pytest.mark.parametrize(
    ("text", "limit", "number", "unit"),
    [
        ("<0.5", "<", 0.5, ""), ("< 0,5 mg/L", "<", 0.5, "mg/L"), (">=300", ">", 300.0, ""),
        ("\N{LESS-THAN OR EQUAL TO}2", "<", 2.0, ""), ("98.6 \N{DEGREE SIGN}F", "", 98.6, "°F"),
        ("180lb", "", 180.0, "lb"),
    ],
)  # fmt: skip
def test_limits_and_units_are_read_with_the_number(
    text: str, limit: str, number: float, unit: str
) -> None:
    reading = read_number(text)
    assert (reading.limit, reading.number, reading.unit) == (limit, number, unit)


def test_a_single_comma_with_three_digits_is_a_fault_unless_the_protocol_decides() -> None:
    assert read_number("1,234") == AMBIGUOUS
    assert read_number("1,234", ",").number == 1.234
    assert read_number("1,234", ".").number == 1234.0
    assert read_number("1.234", ",").number == 1234.0
    assert read_number("5,4", ".") == NO_NUMBER
    assert read_number("5.4", ",") == NO_NUMBER


@given(st.floats(-1e12, 1e12), st.sampled_from([",", "."]))
def test_every_number_is_read_back_whatever_the_decimal_sign(number: float, decimal: str) -> None:
    assert read_number(repr(number).replace(".", decimal), decimal).number == number


@given(st.integers(0, 10**12), st.sampled_from([",", ".", " ", "'"]), st.integers(0, 99))
def test_thousands_are_read_back_where_they_can_only_be_thousands(
    whole: int, mark: str, cents: int
) -> None:
    decimal = "." if mark == "," else ","
    text = f"{whole:,}".replace(",", mark) + f"{decimal}{cents:02d}"
    assert read_number(text).number == pytest.approx(whole + cents / 100)


@given(st.text(max_size=30), st.sampled_from(["", ",", "."]))
def test_no_text_stops_the_reading_of_numbers(text: str, decimal: str) -> None:
    reading = read_number(text, decimal)
    assert (reading.number is None) == bool(reading.fault)


@pytest.mark.parametrize(
    ("value", "unit", "to", "analyte", "expected"),
    [
        # 18.0156 mg/dL = 180.156 mg/L = 1 mmol/L of glucose at 180.156 g/mol
        (18.0156, "mg/dL", "mmol/L", "glucose", 1.0),
        (200.0, "mg/dl", "mmol/l", "cholesterol", 2000.0 / 386.65),
        (1.0, "mg/dL", "\u00b5mol/L", "creatinine", 88.402),  # 10 mg/L / 113.12 g/mol
        (14.0, "g/dL", "mmol/L", "haemoglobin", 140.0 / 16.1145),
        (28.014, "mg/dL", "mmol/L", "urea_nitrogen", 10.0),
        (5.0, "mEq/L", "mmol/L", "calcium", 2.5),  # two charges
        (140.0, "mEq/L", "mmol/L", "sodium", 140.0),
        (48.0, "mmol/mol", "%", "hba1c", 6.54304),  # 0.09148 * 48 + 2.152
        (6.54304, "%", "mmol/mol", "hba1c", 48.0),
        (150.0, "lb", "kg", "", 68.0388555), (98.6, "\u00b0F", "\u00b0C", "", 37.0),
        (310.15, "K", "C", "", 37.0), (70.0, "in", "cm", "", 177.8), (6.0, "ft", "m", "", 1.8288),
        (120.0, "mmHg", "kPa", "", 15.998686), (18.0, "months", "years", "", 1.5),
        (7.5, "10^3/\u00b5L", "10*9/L", "", 7.5), (7500.0, "/\u03bcl", "10^9/L", "", 7.5),
        (1.0, "ukat/L", "U/L", "", 60.0), (1.0, "mg/dL", "mg/L", "", 10.0),
        (500.0, "ng/mL", "mcg/L", "", 500.0), (45.0, "%", "1", "", 0.45),
        (3.0, "Pack-Years", "pack-years", "", 3.0),
    ],
)  # fmt: skip
def test_a_value_is_converted_to_the_columns_unit(
    value: float, unit: str, to: str, analyte: str, expected: float
) -> None:
    convert = converter(unit, to, analyte)
    assert convert is not None
    assert convert(value) == pytest.approx(expected, rel=1e-5)
    back = converter(to, unit, analyte)
    assert back is not None
    assert back(convert(value)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "to", "analyte"),
    [
        ("mg/dL", "mmol/L", ""), ("mg/dL", "mmol/L", "hba1c"), ("mEq/L", "mmol/L", "glucose"),
        ("%", "mmol/mol", ""), ("kg", "cm", ""), ("U/L", "mg/L", ""), ("G/L", "10^9/L", ""),
        ("", "kg", ""), ("kg", "", ""), ("foo", "bar", ""),
    ],
)  # fmt: skip
def test_what_depends_on_an_unnamed_substance_is_not_converted(
    unit: str, to: str, analyte: str
) -> None:
    assert converter(unit, to, analyte) is None
