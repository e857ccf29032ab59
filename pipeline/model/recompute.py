"""Activations that are computed again in the backward pass instead of being kept."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Step = Callable[[Tensor], Tensor]
Run = Callable[[Step, Tensor], Tensor]
"""Runs one step of a network."""


def keeping(step: Step, features: Tensor) -> Tensor:
    """Run a step; its activations are kept for the backward pass, as is usual."""
    return step(features)


def recomputing(network: nn.Module) -> Run:
    """Return what runs steps of a network and keeps of each its input alone.

    Gradients, dropout and running statistics are what they are without it.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _counted_already(network)

    def run(step: Step, features: Tensor) -> Tensor:
        result: Tensor = checkpoint(step, features, use_reentrant=False, context_fn=contexts)
        return result

    return run


@contextmanager
def _counted_already(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norms as they are: the batch was counted before."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    numbers = [number for norm in norms if (number := norm.num_batches_tracked) is not None]
    before = [number.clone() for number in numbers]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for number, was in zip(numbers, before, strict=True):
            number.copy_(was)
