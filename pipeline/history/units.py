"""A declared set of units and their conversion; substances where it depends on them.

Every unit is a multiple of its dimension's base; temperatures have a zero of their own too. Mass
and amount concentrations meet through a substance's molar mass, equivalents through its charge;
without a named substance nothing is converted between them.
"""

from collections.abc import Callable
from typing import NamedTuple

MOLAR_MASS = {
    "albumin": 66_437.0, "ammonia": 17.031, "bicarbonate": 61.017, "bilirubin": 584.66,
    "calcium": 40.078, "chloride": 35.453, "cholesterol": 386.65, "cortisol": 362.46,
    "creatinine": 113.12, "folate": 441.40, "glucose": 180.156, "haemoglobin": 16_114.5,
    "iron": 55.845, "lactate": 90.078, "lithium": 6.94, "magnesium": 24.305,
    "phosphorus": 30.974, "potassium": 39.098, "sodium": 22.990, "testosterone": 288.42,
    "thyroxine": 776.87, "triglycerides": 885.4, "urea": 60.056, "urea_nitrogen": 28.014,
    "uric_acid": 168.11, "vitamin_b12": 1355.37, "vitamin_d": 400.64,
}  # fmt: skip
"""g/mol."""
CHARGE = {
    "bicarbonate": 1, "calcium": 2, "chloride": 1, "lithium": 1, "magnesium": 2, "potassium": 1,
    "sodium": 1,
}  # fmt: skip
"""Equivalents a mole."""
HBA1C_SLOPE, HBA1C_OFFSET = 0.09148, 2.152
"""NGSP % = 0.09148 * IFCC mmol/mol + 2.152, the master equation."""


class Unit(NamedTuple):
    """base = (value - zero) * factor."""

    dimension: str
    factor: float
    zero: float = 0.0


_FACTORS: dict[str, dict[str, float]] = {
    "mass": {
        "kg": 1.0, "g": 1e-3, "mg": 1e-6, "ug": 1e-9, "lb": 0.45359237, "oz": 0.028349523125,
        "st": 6.35029318,
    },
    "length": {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048},
    "pressure": {"mmhg": 133.322387415, "kpa": 1e3, "hpa": 100.0, "cmh2o": 98.0665},
    "duration": {"years": 365.25, "months": 30.4375, "weeks": 7.0, "days": 1.0},
    "volume": {"l": 1.0, "dl": 0.1, "ml": 1e-3, "ul": 1e-6},
    "mass/volume": {
        "g/l": 1.0, "g/dl": 10.0, "mg/dl": 0.01, "mg/l": 1e-3, "mg/ml": 1.0, "ug/dl": 1e-5,
        "ug/l": 1e-6, "ug/ml": 1e-3, "ng/ml": 1e-6, "ng/dl": 1e-8, "ng/l": 1e-9, "pg/ml": 1e-9,
    },
    "amount/volume": {
        "mol/l": 1.0, "mmol/l": 1e-3, "umol/l": 1e-6, "nmol/l": 1e-9, "pmol/l": 1e-12,
    },
    "charge/volume": {"eq/l": 1.0, "meq/l": 1e-3},
    "activity/volume": {
        "u/l": 1.0, "u/ml": 1e3, "mu/ml": 1.0, "ukat/l": 60.0, "nkat/l": 0.06,
    },
    "count/volume": {
        "/l": 1.0, "/ul": 1e6, "10^3/ul": 1e9, "10^9/l": 1e9, "10^6/ul": 1e12, "10^12/l": 1e12,
    },
    "rate": {"/min": 1.0, "/s": 60.0},
    "share": {"%": 0.01, "1": 1.0},
    "amount/amount": {"mmol/mol": 1e-3},
}  # fmt: skip
_UNITS = {
    name: Unit(dimension, factor)
    for dimension, factors in _FACTORS.items()
    for name, factor in factors.items()
} | {
    "c": Unit("temperature", 1.0),
    "f": Unit("temperature", 5 / 9, 32.0),
    "k": Unit("temperature", 1.0, 273.15),
}
_SPELLINGS = {
    "lbs": "lb", "[lb_av]": "lb", "pounds": "lb", "pound": "lb", "kgs": "kg", "ounces": "oz",
    "inch": "in", "inches": "in", "[in_i]": "in", '"': "in", "feet": "ft", "[ft_i]": "ft",
    "mm[hg]": "mmhg", "torr": "mmhg", "mbar": "hpa", "cm[h2o]": "cmh2o",
    "year": "years", "yr": "years", "yrs": "years", "y": "years", "a": "years", "month": "months",
    "mo": "months", "week": "weeks", "wk": "weeks", "day": "days", "d": "days", "mg%": "mg/dl",
    "g%": "g/dl", "cc": "ml", "cm3": "ml", "iu/l": "u/l", "[iu]/l": "u/l", "miu/ml": "mu/ml",
    "iu/ml": "u/ml", "degc": "c", "cel": "c", "celsius": "c", "degf": "f", "[degf]": "f",
    "fahrenheit": "f", "kelvin": "k", "bpm": "/min", "1/min": "/min", "{beats}/min": "/min",
    "beats/min": "/min", "min-1": "/min", "hz": "/s", "percent": "%", "k/ul": "10^3/ul",
    "/mm3": "/ul", "/cmm": "/ul", "cells/ul": "/ul", "/nl": "10^9/l", "gpt/l": "10^9/l",
    "tpt/l": "10^12/l", "/pl": "10^12/l", "mill/ul": "10^6/ul", "10^3/mm3": "10^3/ul",
    "10^6/mm3": "10^6/ul", "{ratio}": "1", "g/100ml": "g/dl", "mg/100ml": "mg/dl",
}  # fmt: skip
_LETTERS = str.maketrans(
    {
        "µ": "u", "μ": "u", "°": None, "º": None, "²": "2", "³": "^3", "⁶": "^6", "⁹": "^9",
        "¹": None, "\N{MULTIPLICATION SIGN}": "x", "·": None, " ": None, "\N{NO-BREAK SPACE}": None,
    }
)  # fmt: skip


def canonical_unit(text: str) -> str:
    """Return the one spelling of a unit; a unit that is not declared keeps its own, folded."""
    folded = text.translate(_LETTERS).lower()
    folded = folded.replace("mcg", "ug").replace("10*", "10^").replace("10e", "10^")
    folded = folded.removeprefix("x") if folded.startswith("x10") else folded
    folded = {"mm^3": "mm3", "cm^3": "cm3"}.get(folded, folded).replace("/mm^3", "/mm3")
    return _SPELLINGS.get(folded, folded)


def converter(unit: str, to: str, analyte: str = "") -> Callable[[float], float] | None:
    """Return the function that takes a value from one unit to another; None if there is none.

    Parameters
    ----------
    unit, to
        As written. Two spellings that are the same but for case and signs are one unit, declared
        or not.
    analyte
        The substance, "" if none is named.
    """
    source, target = canonical_unit(unit), canonical_unit(to)
    if source == target:
        return lambda value: value
    if analyte == "hba1c" and {source, target} == {"%", "mmol/mol"}:
        return _hba1c(source)
    first, second = _UNITS.get(source), _UNITS.get(target)
    if first is None or second is None:
        return None
    factor = _bridge(first.dimension, second.dimension, analyte)
    if factor is None:
        return None
    return lambda value: (value - first.zero) * first.factor * factor / second.factor + second.zero


def _hba1c(source: str) -> Callable[[float], float]:
    if source == "%":
        return lambda percent: (percent - HBA1C_OFFSET) / HBA1C_SLOPE
    return lambda ratio: HBA1C_SLOPE * ratio + HBA1C_OFFSET


def _bridge(source: str, target: str, analyte: str) -> float | None:
    """Return the factor between the bases of two dimensions, None if they do not meet."""
    if source == target:
        return 1.0
    to_moles = {
        "amount/volume": 1.0,
        "mass/volume": 1.0 / MOLAR_MASS[analyte] if analyte in MOLAR_MASS else None,
        "charge/volume": 1.0 / CHARGE[analyte] if analyte in CHARGE else None,
    }
    first, second = to_moles.get(source), to_moles.get(target)
    return None if first is None or second is None else first / second
