"""Simulated notes with known truth, from wordings that a file lists.

The wordings are the benchmark's own: no word of them comes from a protocol's lexicon.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

WORDINGS = Path(__file__).parent / "wordings"
MENTION_SHARE = 0.4
TYPO_SHARE = 0.25
LOWER_SHARE, UPPER_SHARE = 0.08, 0.03
MIN_TYPO_LETTERS = 6
_SLOT = re.compile(r"\{(\w+)\}")
_GROUPS = {
    "sided": 0.4, "sided_abbreviated": 0.1, "sided_contrast": 0.1, "both": 0.1, "present": 0.05,
    "absent": 0.15, "unknown": 0.1,
}  # fmt: skip
_NEIGHBOURS = {
    "a": "s", "e": "r", "i": "o", "o": "p", "u": "y", "s": "d", "n": "m", "t": "r", "r": "t",
    "l": "k", "c": "v", "d": "f", "p": "o", "m": "n",
}  # fmt: skip

Truth = str | float | None


@dataclass(frozen=True, slots=True)
class TrueNote:
    """One note, what it says of each concept, and the sentence in which it says so."""

    text: str
    truth: Mapping[str, Truth]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wordings:
    """Sentences by concept and group, slots, and sentences that say nothing of any concept."""

    slots: Mapping[str, Sequence[str]]
    concepts: Mapping[str, Mapping[str, Sequence[str]]]
    filler: Sequence[str]


def read_wordings(name: str) -> Wordings:
    """Read ``wordings/<name>.yaml``."""
    return Wordings(**yaml.safe_load((WORDINGS / f"{name}.yaml").read_text()))


def draw_notes(wordings: Wordings, n_notes: int, seed: int) -> list[TrueNote]:
    """Draw notes, each with a random choice of concepts, in random order, layout and typing."""
    rng = np.random.default_rng(seed)
    return [_draw_note(rng, wordings) for _ in range(n_notes)]


def _draw_note(rng: np.random.Generator, wordings: Wordings) -> TrueNote:
    truth: dict[str, Truth] = dict.fromkeys(wordings.concepts)
    said: dict[str, str] = {}
    for concept in wordings.concepts:
        if rng.random() < MENTION_SHARE:
            truth[concept], said[concept] = _draw_sentence(rng, wordings, concept)
    fillers = rng.choice(wordings.filler, int(rng.integers(2, 6)), replace=False).tolist()
    told = [*said.values(), *fillers[1:]]
    sentences = [fillers[0], *(told[int(place)] for place in rng.permutation(len(told)))]
    return TrueNote(_laid_out(rng, sentences), truth, said)


def _draw_sentence(rng: np.random.Generator, wordings: Wordings, concept: str) -> tuple[Truth, str]:
    groups = wordings.concepts[concept]
    weights = np.array([_GROUPS[name] if "sided" in groups else 1.0 for name in groups])
    group = str(rng.choice(list(groups), p=weights / weights.sum()))
    side = str(rng.choice(["left", "right"]))
    number = int(rng.integers(3, 11)) * 10
    template = str(rng.choice(groups[group]))
    fixed = {
        "side": side, "other": "right" if side == "left" else "left", "number": str(number),
        "S": str(rng.choice([side[0].upper(), f"{side[0].upper()}t"])),
        "x_stroke": re.sub(r"^an? ", "", str(rng.choice(wordings.slots["stroke"]))),
    }  # fmt: skip
    text = _SLOT.sub(
        lambda slot: fixed.get(slot[1]) or str(rng.choice(wordings.slots[slot[1]])), template
    )
    text = text[0].upper() + text[1:]
    if rng.random() < TYPO_SHARE:
        text = _with_typo(rng, text)
    if group == "number":
        return float(number), text
    if group.startswith("sided"):
        return side, text
    return None if group == "unknown" else group, text


def _with_typo(rng: np.random.Generator, text: str) -> str:
    """Swap, drop, double or mistype one letter of one longer word; never its first."""
    spots = [match.span() for match in re.finditer(rf"[A-Za-z]{{{MIN_TYPO_LETTERS},}}", text)]
    if not spots:
        return text
    start, end = spots[int(rng.integers(len(spots)))]
    at = int(rng.integers(start + 1, end - 1))
    letter = text[at]
    changed = (
        text[at + 1] + letter + text[at + 2 :],
        text[at + 1 :],
        letter + text[at:],
        _NEIGHBOURS.get(letter, letter) + text[at + 1 :],
    )
    return text[:at] + changed[int(rng.integers(4))]


def _laid_out(rng: np.random.Generator, sentences: Sequence[str]) -> str:
    between = str(rng.choice([" ", "\n", " "]))
    if between == " ":  # who writes on in one line ends what was a line of its own
        sentences = [one if one[-1] in ".!" else f"{one}." for one in sentences]
    text = between.join(sentences)
    draw = rng.random()
    if draw < UPPER_SHARE:
        return text.upper()
    return text.lower() if draw < UPPER_SHARE + LOWER_SHARE else text
