"""What some places of an image say for a finding, set against what others say against it."""

import torch
from torch import Tensor


def settled(additions: Tensor) -> Tensor:
    """Cancel additions of one sign against those of the other; each sum stays.

    An image that on the whole lowers a logit raises it nowhere, and the reverse: a faint spot in
    a scan that otherwise shows nothing is no evidence for a finding. Of the sign that outweighs the
    other, each token gives up the same amount but none more than it has (the projection onto a
    simplex: Duchi et al., ICML 2008), so the strongest places are left.

    Parameters
    ----------
    additions : shape (B, Q, N), log-odds
        What each of N tokens adds to each of Q logits.

    Returns
    -------
    Tensor
        Shape and sums as given; of each case and logit all of one sign, or 0.
    """
    total = additions.sum(-1, keepdim=True)
    sign = torch.where(total < 0, -1.0, 1.0)
    return sign * _lowered((sign * additions).clamp(min=0), total.abs())


def _lowered(parts: Tensor, total: Tensor) -> Tensor:
    """Lower parts of at least 0, each by the same or as much as it has, until they sum to it.

    Parameters
    ----------
    total : shape (..., 1)
        At most what they sum to.
    """
    falling = parts.sort(-1, descending=True).values
    number = torch.arange(1, parts.shape[-1] + 1, device=parts.device, dtype=parts.dtype)
    excess = (falling.cumsum(-1) - total) / number
    n_left = (falling > excess).sum(-1, keepdim=True).clamp(min=1)
    by = excess.gather(-1, n_left - 1).clamp(min=0)
    return (parts - by).clamp(min=0)
