"""MONAI's 3D encoders, read at two depths, as one grid of tokens."""

from collections.abc import Callable

import torch
from monai.networks.nets import ResNet, SegResNet
from torch import Tensor, nn
from torch.nn import functional

from schemas.settings import ModelSettings

STRIDE = 4


class ResNetStages(nn.Module):
    """MONAI's ResNet down to stride 8, from a stem of stride 2."""

    def __init__(self, channels: int, layers: tuple[int, int, int]) -> None:
        super().__init__()
        net = ResNet(
            "basic",
            [*layers, 1],
            [channels, 2 * channels, 4 * channels, 4 * channels],
            n_input_channels=1,
            conv1_t_size=3,
            conv1_t_stride=2,
            no_max_pool=True,
            feed_forward=False,
        )
        self.stem = nn.Sequential(net.conv1, net.bn1, net.act)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3])
        self.widths = (2 * channels, 4 * channels)

    def forward(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Take (B, 1, S, P, L) to features at stride 4 and 8."""
        at_2 = self.stages[0](self.stem(voxels))
        at_4 = self.stages[1](at_2)
        return at_4, self.stages[2](at_4)


class SegResNetStages(nn.Module):
    """MONAI's SegResNet encoder down to stride 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        net = SegResNet(init_filters=channels, blocks_down=(1, 1, 1, 1), norm="batch")
        self.stem = net.convInit
        self.stages = net.down_layers
        self.widths = (4 * channels, 8 * channels)

    def forward(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Take (B, 1, S, P, L) to features at stride 4 and 8."""
        features = [self.stem(voxels)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[3], features[4]


STAGES: dict[str, Callable[[int], ResNetStages | SegResNetStages]] = {
    "resnet10": lambda channels: ResNetStages(channels, (1, 1, 1)),
    "resnet18": lambda channels: ResNetStages(channels, (2, 2, 2)),
    "segresnet": SegResNetStages,
}


class ImageEncoder(nn.Module):
    """Voxels to tokens at stride 4 that have also seen stride 8."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.stages = STAGES[settings.image_encoder](settings.image_channels)
        fine, coarse = self.stages.widths
        self.lateral = nn.Conv3d(fine, settings.width, 1)
        self.top = nn.Conv3d(coarse, settings.width, 1)
        self.norm = nn.BatchNorm3d(settings.width)

    def forward(self, voxels: Tensor) -> Tensor:
        """Take (B, 1, S, P, L) to (B, D, S/4, P/4, L/4)."""
        at_4, at_8 = self.stages(voxels)
        wide = functional.interpolate(self.top(at_8), size=at_4.shape[2:], mode="trilinear")
        fused: Tensor = functional.relu(self.norm(self.lateral(at_4) + wide))
        return fused


def token_mask(scanned: Tensor) -> Tensor:
    """Mark tokens of which at least half was scanned: (B, 1, S, P, L) bool to (B, N) bool."""
    share = functional.avg_pool3d(scanned.float(), STRIDE)
    return (share >= 0.5).flatten(1)


def token_positions(size: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Tensor:
    """Return token centres relative to the grid's centre, shape (N, 3), mm.

    Parameters
    ----------
    size, spacing_mm
        Of the model's grid along (S, P, L).
    """
    axes = [
        (torch.arange(count // STRIDE) * STRIDE + (STRIDE - 1) / 2 - (count - 1) / 2) * spacing
        for count, spacing in zip(size, spacing_mm, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
