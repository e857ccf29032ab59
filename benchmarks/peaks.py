"""Where a map is strongest, as reports draw it."""

import numpy as np

from pipeline.explain.reading import finest_of
from pipeline.tensors import ModelOutput


def strongest_token(output: ModelOutput, number: int) -> tuple[int, ...]:
    """Return the token that holds the strongest place of a logit's map, its index (s, p, l).

    Parameters
    ----------
    output
        Of a batch of one, or more, of which the first counts.
    """
    additions, grid = finest_of(output)
    place = np.array(np.unravel_index(int(additions[number].argmax()), grid))
    return tuple((place * np.array(output.token_grid) // np.array(grid)).tolist())
