"""The space in which an image lies near its own history, and which cases lie near each other.

Shape suffixes: B cases, E width of the space.
"""

import torch
from torch import Tensor
from torch.nn import functional


def joint_embedding(embedding_B2E: Tensor) -> Tensor:
    """Return one direction a case, (B, E): between image and history, or the one that is there.

    Parameters
    ----------
    embedding
        ``ModelOutput.embedding``. A case with neither stays at the centre.
    """
    return functional.normalize(embedding_B2E.sum(1), dim=-1)


def nearest(query_E: Tensor, cohort_BE: Tensor, *, n: int) -> tuple[Tensor, Tensor]:
    """Return the cohort's cases that lie nearest to a case.

    Parameters
    ----------
    query, cohort
        Of :func:`joint_embedding`.
    n
        How many, at most.

    Returns
    -------
    numbers : shape (n,)
        Positions in the cohort, nearest first; cases at the centre are left out.
    alike : shape (n,)
        Cosine of the angle between each and the case.
    """
    alike = cohort_BE @ query_E
    there = cohort_BE.norm(dim=-1) > 0
    alike = torch.where(there, alike, -torch.inf)
    found = torch.topk(alike, min(n, int(there.sum())))
    return found.indices, found.values
