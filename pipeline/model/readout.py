"""What each token adds to each logit: parts that sum to it exactly.

Shape suffixes: B cases, Q logits, N image tokens, H history tokens, D width, P place features,
S things said, U history variables, I images, which several cases may share, C cells, F features
of a cell.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.cells import CELLS
from pipeline.model.details import FEATURES
from pipeline.model.fusion import start_at_zero
from schemas.settings import ModelSettings

FIRST_GATE = -3.0
FULL = 4.0
FIRST_SHIFT, FIRST_TURN, FIRST_STEEPNESS = -2.0, 4.0, 3.0
"""Of `Findings`: shift of the presence, in log-odds, sum of gates at which a finding is half there,
and Hill's exponent."""
LEAST_AMOUNT = 1e-6
OWN_GATE = 2.0


class HistoryReadout(nn.Module):
    """Each history token's own addition to each logit: gate times what the token says.

    Additions are exactly 0 before training, so that tokens that say nothing yet do not drown the
    few that matter.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_query, self.gate_key = nn.Linear(width, width), nn.Linear(width, width)
        self.value_query, self.value_key = nn.Linear(width, width), nn.Linear(width, width)
        start_at_zero(self.value_query)

    def forward(self, asked_BQD: Tensor, tokens_BHD: Tensor, mask_BH: Tensor) -> Tensor:
        """Return additions (B, Q, H) in log-odds; exactly 0 where masked."""
        scale = tokens_BHD.shape[-1] ** -0.5
        gate = _match(self.gate_query(asked_BQD), self.gate_key(tokens_BHD)) * scale
        value = _match(self.value_query(asked_BQD), self.value_key(tokens_BHD)) * scale
        additions: Tensor = torch.sigmoid(gate) * value * mask_BH[:, None, :]
        return additions


class VariableEffects(nn.Module):
    """Each variable's effect on each logit by itself, linear in its features; 0 before training."""

    def __init__(self, n_variables: int, n_features: int, n_logits: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_logits, n_variables, n_features + 1))

    def forward(self, values_BVF: Tensor, is_known_BV: Tensor) -> Tensor:
        """Return additions (B, Q, V) in log-odds; exactly 0 where the variable is missing."""
        known_BV1 = is_known_BV[..., None].to(values_BVF.dtype)
        told = torch.cat([values_BVF * known_BV1, known_BV1], -1)
        return torch.einsum("qvf,bvf->bqv", self.weight, told)


class MeanReadout(nn.Module):
    """The classic: each logit is linear in the mean token, so each token adds its share of it."""

    def __init__(self, width: int, n_logits: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_logits)
        start_at_zero(self.linear)

    def forward(self, tokens_BHD: Tensor, mask_BH: Tensor) -> Tensor:
        """Return additions (B, Q, H) in log-odds; exactly 0 where masked."""
        share = mask_BH / mask_BH.sum(1, keepdim=True).clamp(min=1)
        additions: Tensor = self.linear(tokens_BHD).transpose(1, 2) * share[:, None, :]
        return additions


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What each image shows each logit's question before any history is heard.

    Parameters
    ----------
    tokens : shape (I, N, D)
        With their places.
    mask : shape (I, N)
        Which were scanned.
    presence : shape (I, Q, N), log-odds
        That a token shows what the question asks for.
    weights : shape (I, Q, N)
        With which each token counts; 0 where nothing was scanned.
    spread : shape (I, 1, N)
        Equal weights over what was scanned, summing to 1: who looks and finds nothing learns
        something too.
    own : shape (I, Q, N), log-odds
        What each token adds by itself.
    finer : shape (I, N, CELLS, Q), log-odds
        By how much each cell of a token shows it more than the token's own features do.
    """

    tokens: Tensor
    mask: Tensor
    presence: Tensor
    weights: Tensor
    spread: Tensor
    own: Tensor
    finer: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Which case has which image; of no use where every case has its own.

    Parameters
    ----------
    image_of : shape (B,), or None
    """

    image_of: Tensor | None

    def each(self, of_images: Tensor) -> Tensor:
        """Return for each case, shape (B, ...), what was found for its image, (I, ...)."""
        if self.image_of is None:
            return of_images
        if len(of_images) == 1:
            return of_images.expand(len(self.image_of), *of_images.shape[1:])
        return of_images[self.image_of]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The history as read.

    Parameters
    ----------
    tokens : shape (B, H, D)
        Table variables, then sentences.
    mask : shape (B, H)
    variables : shape (B, U)
        The same as one flat row.
    asked : shape (B, Q, D)
        The questions, having read it.
    """

    tokens: Tensor
    mask: Tensor
    variables: Tensor
    asked: Tensor


class ImageReadout(nn.Module):
    """Presence gate times what an image token says, whatever the history.

    The weights grow with the gates of all tokens but level off, as attention with a null key
    does, so a finding twice as large does not simply count twice. The odds that a token shows
    something are the mean of its cells', so which of them shows it is learned from tokens alone;
    before training all are alike.
    """

    def __init__(self, width: int, n_logits: int) -> None:
        super().__init__()
        self.gate_query, self.gate_key = nn.Linear(width, width), nn.Linear(width, width)
        self.value_query, self.value_key = nn.Linear(width, width), nn.Linear(width, width)
        self.gate_bias = nn.Parameter(torch.tensor(FIRST_GATE))
        self.empty = nn.Parameter(torch.zeros(n_logits))
        self.detail_query = nn.Linear(width, FEATURES)
        start_at_zero(self.value_query)
        start_at_zero(self.detail_query)

    def forward(
        self, asked_QD: Tensor, tokens_IND: Tensor, details_INCF: Tensor, mask_IN: Tensor
    ) -> Seen:
        """Ask each token, and each of its cells, each question."""
        scale = tokens_IND.shape[-1] ** -0.5
        asked_IQD = asked_QD.expand(len(tokens_IND), -1, -1)
        presence = _match(self.gate_query(asked_IQD), self.gate_key(tokens_IND)) * scale
        finer_INCQ = details_INCF @ self.detail_query(asked_QD).T
        odds_IQN = finer_INCQ.logsumexp(2).transpose(1, 2) - math.log(CELLS)
        presence = presence + self.gate_bias + odds_IQN
        gates = torch.sigmoid(presence) * mask_IN[:, None, :]
        weights = gates * (FULL / (FULL + gates.sum(-1, keepdim=True)))
        spread = (mask_IN / mask_IN.sum(1, keepdim=True).clamp(min=1))[:, None, :]
        value = _match(self.value_query(asked_IQD), self.value_key(tokens_IND)) * scale
        own = weights * value + self.empty[:, None] * spread
        return Seen(tokens_IND, mask_IN, presence, weights, spread, own, finer_INCQ)


def shares_of_cells(finer_INCQ: Tensor, scanned_INC: Tensor) -> Tensor:
    """Return which share each cell of a token has in what it shows, (I, Q, N, CELLS).

    They sum to 1, and are 0 where less than half was scanned, unless that holds of all.
    """
    unseen = ~scanned_INC & scanned_INC.any(-1, keepdim=True)
    shares = finer_INCQ.masked_fill(unseen[..., None], -torch.inf).softmax(2)
    return shares.permute(0, 3, 1, 2)


class Findings(nn.Module):
    """With which weight each token stands for a finding that is there or is not.

    Gates sum to more for a large finding, and over the many tokens of a scan without one to more
    than nothing. What the history makes of a finding turns on whether there is one: so the weights
    sum to Hill's function of their own sum a, a^k / (c^k + a^k), which is near 0 well below c and
    near 1 well above. Where it turns, and from which presence on a token counts, is learned: as
    what is added to where both begin, since weight decay draws what is learned towards 0.
    """

    def __init__(self, n_logits: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(n_logits, 1))
        self.log_turn = nn.Parameter(torch.zeros(n_logits, 1))
        self.log_steepness = nn.Parameter(torch.zeros(n_logits, 1))

    def forward(self, presence_IQN: Tensor, mask_IN: Tensor) -> Tensor:
        """Return weights (I, Q, N), which sum to at most FULL; 0 where nothing was scanned."""
        presence_IQN = presence_IQN + FIRST_SHIFT + self.shift
        gates = torch.sigmoid(presence_IQN) * mask_IN[:, None, :]
        amount = gates.sum(-1, keepdim=True).clamp(min=LEAST_AMOUNT)
        beyond = amount.log() - math.log(FIRST_TURN) - self.log_turn
        there = torch.sigmoid(FIRST_STEEPNESS * self.log_steepness.exp() * beyond)
        return FULL * there * gates / amount


class Products(nn.Module):
    """What gated image tokens say, times the history's variables.

    A pure interaction (a side in the scan and a side in the notes) has no main effect from which
    attention could start; every product of the two does have a gradient from the first step. The
    sum is over tokens, so what each token adds stays exact. A token says that it is there, where
    (in units of 50 mm), and ``said`` learned things.
    """

    def __init__(self, settings: ModelSettings, n_logits: int, n_places: int, n_variables: int):
        super().__init__()
        self.said = nn.Linear(settings.width + n_places, settings.said)
        self.hears = nn.Parameter(OWN_GATE * torch.eye(n_logits))
        self.weight = nn.Parameter(torch.zeros(n_logits, settings.said + 4, n_variables + 1))
        self.empty = nn.Parameter(torch.zeros(n_logits, n_variables + 1))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self, weights_BQN: Tensor, tokens_BND: Tensor, places_BNP: Tensor, variables_BU: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return additions (B, Q, N), and what finding nothing adds (B, Q), in log-odds.

        Each logit hears mostly what was found for its own question, but learns whether to hear the
        others': what one cannot find by itself may still matter to it.
        """
        said = torch.tanh(self.said(torch.cat([tokens_BND, places_BNP], -1)))
        there = torch.ones_like(said[..., :1])
        said_BNS = torch.cat([there, places_BNP[..., :3], self.dropout(said)], -1)
        constant = variables_BU.new_ones(len(variables_BU), 1)
        variables_BU = torch.cat([constant, self.dropout(variables_BU)], 1)
        meaning_BQS = torch.einsum("qsu,bu->bqs", self.weight, variables_BU)
        found_BQN = torch.softmax(self.hears, -1) @ weights_BQN
        moved = torch.einsum("bqs,bns->bqn", meaning_BQS, said_BNS) * found_BQN
        return moved, variables_BU @ self.empty.T


class Projection(nn.Module):
    """Both pooled into one space and multiplied there, element by element."""

    def __init__(self, width: int, n_logits: int) -> None:
        super().__init__()
        self.image, self.history = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, n_logits, bias=False)
        start_at_zero(self.out)

    def forward(self, seen: Seen, cases: Cases, heard: Heard) -> Tensor:
        """Return additions (B, Q, N), in log-odds."""
        share_BH = heard.mask / heard.mask.sum(1, keepdim=True).clamp(min=1)
        pooled_BD = self.history((heard.tokens * share_BH[..., None]).sum(1))
        joint_BND = cases.each(self.image(seen.tokens)) * pooled_BD[:, None]
        additions: Tensor = self.out(joint_BND).transpose(1, 2) * cases.each(seen.weights)
        return additions


class HistoryAsks(nn.Module):
    """Each history token looks for its own image tokens, with a null key for "nothing there".

    What it reads is a weighted sum over image tokens, so each token's share of it is known.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.null = nn.Parameter(torch.zeros(1))
        self.weight_query, self.weight_key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.meaning = nn.Linear(width, width), nn.Linear(width, width)
        start_at_zero(self.value)

    def forward(self, heard: Heard, tokens_BND: Tensor, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return additions (B, Q, N), in log-odds, and the attention (B, H, N)."""
        scale = tokens_BND.shape[-1] ** -0.5
        match = _match(self.query(heard.tokens), self.key(tokens_BND)) * scale
        match = match.masked_fill(~mask_BN[:, None, :], -torch.inf)
        null = self.null.expand(*match.shape[:2], 1)
        attention = torch.softmax(torch.cat([match, null], -1), -1)[..., :-1]
        hears = _match(self.weight_query(heard.asked), self.weight_key(heard.tokens)) * scale
        hears = hears * heard.mask[:, None, :]
        says = _match(self.meaning(heard.tokens), self.value(tokens_BND)) * scale
        return torch.einsum("bqh,bhn->bqn", hears, attention * says), attention


def _match(asking_BQD: Tensor, answering_BND: Tensor) -> Tensor:
    return torch.einsum("bqd,bnd->bqn", asking_BQD, answering_BND)
