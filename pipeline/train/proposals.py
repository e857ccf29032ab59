"""What to try next, and what mattered: Optuna on the record of the trials so far.

Nothing is kept between two trials but the record, so a search that was killed goes on as if it
had not been.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from schemas.search import SearchSpace, SettingImportance, SettingRange, Trial, Value, number_type

PRUNE_FROM_TRIAL = 5
PRUNE_FROM_EPOCH = 3
"""Before so many complete trials, and before this epoch of fusing, none is stopped."""
MIN_FOR_IMPORTANCE = 10
"""Complete trials."""

STATES = {
    "complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL
}  # fmt: skip

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What to try next."""

    trial: optuna.Trial

    @property
    def settings(self) -> dict[str, Value]:
        """By name with section."""
        return self.trial.params

    def is_poor(self, losses: Sequence[float]) -> bool:
        """Say whether to stop, by the validation losses of its epochs so far.

        The median rule: its lowest loss is above the median of the complete trials' losses at this
        epoch.
        """
        self.trial.report(losses[-1], len(losses) - 1)
        return self.trial.should_prune()


def propose(trials: Sequence[Trial], space: SearchSpace, *, seed: int) -> Proposal:
    """Return the next trial; it follows from the trials before it and the seed alone.

    Tree-structured Parzen estimator (J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, 2011), from the
    eleventh trial in the space on; those before are drawn at random.
    """
    own = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
    study = _study(trials, space, optuna.samplers.TPESampler(seed=own))
    return Proposal(study.ask(_distributions(space)))


def importance_of(
    trials: Sequence[Trial], space: SearchSpace, *, seed: int
) -> tuple[SettingImportance, ...]:
    """Return each setting's share of the loss's variation, largest first; none if too few trials.

    Functional ANOVA on a random forest (F. Hutter, H. Hoos, K. Leyton-Brown, 2014).
    """
    study = _study(trials, space, optuna.samplers.RandomSampler(seed=seed))
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < MIN_FOR_IMPORTANCE or len({trial.value for trial in complete}) == 1:
        return ()
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return tuple(
        SettingImportance(setting=name, share=min(max(share, 0.0), 1.0))
        for name, share in shares.items()
    )


def _study(
    trials: Sequence[Trial], space: SearchSpace, sampler: optuna.samplers.BaseSampler
) -> optuna.Study:
    """Return a study of the trials that lie in the space; the protocol as given may not."""
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=PRUNE_FROM_TRIAL, n_warmup_steps=PRUNE_FROM_EPOCH - 1
    )
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.add_trials([_frozen(one, space) for one in trials if space.holds(one.settings)])
    return study


def _frozen(trial: Trial, space: SearchSpace) -> FrozenTrial:
    return create_trial(
        state=STATES[trial.state],
        value=trial.loss if trial.state == "complete" else None,
        params=dict(trial.settings),
        distributions=_distributions(space),
        intermediate_values=dict(enumerate(trial.losses)),
    )


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {name: _distribution(name, one) for name, one in space.ranges()}


def _distribution(name: str, one: SettingRange) -> BaseDistribution:
    if one.low is None or one.high is None:
        return CategoricalDistribution(one.choices)
    if number_type(name) is int:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
