"""Steps to the log-odds of the one outcome that a report shows."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration.maps import to_log_odds
from pipeline.calibration.statistics import log_odds
from pipeline.calibration.steps import step_probabilities
from schemas.calibration import AnyCalibrator, StepCalibrator


def shown_log_odds(
    calibrator: AnyCalibrator, steps: NDArray[np.float64], present: Iterable[str], shown: int
) -> NDArray[np.float64]:
    """Return the calibrated log-odds of one outcome, shape (n,), of cases alike in what is there.

    Parameters
    ----------
    steps : shape (n, S), log-odds
        As the network gives them.
    present
        The modalities of all these cases.
    shown
        Number of the class, level or horizon; not used for a yes or no.
    """
    if isinstance(calibrator, StepCalibrator):
        return log_odds(step_probabilities(calibrator, steps, present)[:, shown])
    return to_log_odds(calibrator, steps[:, 0], present)
