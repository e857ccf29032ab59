"""Convolutions of single voxels, in the memory layout that the encoders keep."""

from torch import Tensor, nn
from torch.nn import functional


def pointwise(convolution: nn.Conv3d, features: Tensor) -> Tensor:
    """Return what a 1x1x1 convolution makes of features (M, C, S, P, L) that lie channels last.

    torch's own lays its result out anew, channels first, and what follows then works on strides.
    """
    weight = convolution.weight.flatten(1)
    return functional.linear(features.movedim(1, -1), weight, convolution.bias).movedim(-1, 1)
