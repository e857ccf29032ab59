"""MONAI's 3D encoders, each read at stride 4 and at stride 8.

Every class takes (B, 1, S, P, L) and returns both depths; ``widths`` are their channels. Depths
beyond stride 8 are left out: their tokens are too wide to show where a finding lies. ``run`` runs
one step after the other, so that activations may be recomputed instead of kept.
"""

from collections.abc import Callable
from functools import partial

from monai.networks.nets import DenseNet, ResNet, SegResNet, ViT
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn

from pipeline.model.recompute import Run, keeping
from schemas.settings import ImageEncoderName

Size = tuple[int, int, int]
VIT_PATCH = 8


class ResNetStages(nn.Module):
    """ResNet with a stem of stride 2 and no pooling."""

    def __init__(self, channels: int, layers: Size, *, block: str = "basic") -> None:
        super().__init__()
        net = ResNet(
            block,
            [*layers, 1],
            [channels, 2 * channels, 4 * channels, 4 * channels],
            n_input_channels=1,
            conv1_t_size=3,
            conv1_t_stride=2,
            no_max_pool=True,
            feed_forward=False,
        )
        expansion = 4 if block == "bottleneck" else 1
        self.conv1, self.bn1, self.act = net.conv1, net.bn1, net.act
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3
        self.widths = (2 * channels * expansion, 4 * channels * expansion)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8."""
        at_4 = run(self.layer2, run(self.layer1, run(self._stem, voxels)))
        return at_4, run(self.layer3, at_4)

    def _stem(self, voxels: Tensor) -> Tensor:
        stem: Tensor = self.act(self.bn1(self.conv1(voxels)))
        return stem


class MedicalNetStages(nn.Module):
    """ResNet in the form of MedicalNet's weights: a 7-voxel stem, pooling, dilated last stages."""

    def __init__(self, channels: int, layers: tuple[int, int, int, int], block: str) -> None:
        super().__init__()
        shortcut = "A" if layers[0] > 1 and block == "basic" else "B"
        widths = [channels * factor for factor in (1, 2, 4, 8)]
        net = ResNet(
            block,
            list(layers),
            widths,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            shortcut_type=shortcut,
            bias_downsample=False,  # as the published weights have it
            feed_forward=False,
        )
        for stage, dilation in ((net.layer3, 2), (net.layer4, 4)):
            _dilate(stage, dilation)
        expansion = 4 if block == "bottleneck" else 1
        self.conv1, self.bn1, self.act, self.maxpool = net.conv1, net.bn1, net.act, net.maxpool
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        self.widths = (channels * expansion, 8 * channels * expansion)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8."""
        at_4 = run(self.layer1, run(self._stem, voxels))
        return at_4, run(self.layer4, run(self.layer3, run(self.layer2, at_4)))

    def _stem(self, voxels: Tensor) -> Tensor:
        stem: Tensor = self.maxpool(self.act(self.bn1(self.conv1(voxels))))
        return stem


def _dilate(stage: nn.Module, dilation: int) -> None:
    """Keep a stage's resolution: its stride becomes a dilation."""
    for module in stage.modules():
        if isinstance(module, nn.Conv3d):
            module.stride = (1, 1, 1)
            if module.kernel_size == (3, 3, 3):
                module.dilation = module.padding = (dilation,) * 3
    for block in stage.children():
        shortcut = getattr(block, "downsample", None)
        if isinstance(shortcut, partial):  # of kind "A": pooled and padded, not convolved
            shortcut.keywords["stride"] = 1


class SegResNetStages(nn.Module):
    """SegResNet's encoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        net = SegResNet(init_filters=channels, blocks_down=(1, 1, 1, 1), norm="batch")
        self.convInit, self.down_layers = net.convInit, net.down_layers
        self.widths = (4 * channels, 8 * channels)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8."""
        features = [run(self.convInit, voxels)]
        for stage in self.down_layers:
            features.append(run(stage, features[-1]))
        return features[3], features[4]


class DenseNetStages(nn.Module):
    """DenseNet's first two dense blocks."""

    def __init__(self, channels: int, layers: tuple[int, int]) -> None:
        super().__init__()
        growth = max(channels // 2, 1)
        features = DenseNet(3, 1, 1, channels, growth, (*layers, 1, 1)).features
        names = ("conv0", "norm0", "relu0", "pool0", "denseblock1")
        self.features = nn.ModuleDict(
            {name: features.get_submodule(name) for name in (*names, "transition1", "denseblock2")}
        )
        at_4 = channels + layers[0] * growth
        self.widths = (at_4, at_4 // 2 + layers[1] * growth)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8."""
        at_4 = voxels
        for name in ("conv0", "norm0", "relu0", "pool0", "denseblock1"):
            at_4 = run(self.features[name], at_4)
        return at_4, run(self.features["denseblock2"], run(self.features["transition1"], at_4))


class SwinStages(nn.Module):
    """SwinUNETR's encoder down to stride 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        heads = max(channels // 16, 1)
        net = SwinTransformer(
            1, channels, (7, 7, 7), (2, 2, 2), (2, 2, 2, 2), [heads * f for f in (1, 2, 4, 8)]
        )
        self.patch_embed, self.layers1, self.layers2 = net.patch_embed, net.layers1, net.layers2
        self.widths = (2 * channels, 4 * channels)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8, each token normalised over its channels."""
        at_4 = run(self.layers1[0], run(self.patch_embed, voxels).contiguous())
        return _normalised(at_4), _normalised(run(self.layers2[0], at_4.contiguous()))


def _normalised(features: Tensor) -> Tensor:
    last = features.movedim(1, -1)
    return nn.functional.layer_norm(last, last.shape[-1:]).movedim(-1, 1)


class ViTStages(nn.Module):
    """ViT on patches of 8 voxels; stride 4 is a learned doubling of it."""

    def __init__(self, channels: int, size: Size) -> None:
        super().__init__()
        width = 8 * channels
        self.net = ViT(1, size, VIT_PATCH, width, 4 * width, 6, 4)
        self.grid = (size[0] // VIT_PATCH, size[1] // VIT_PATCH, size[2] // VIT_PATCH)
        self.finer = nn.ConvTranspose3d(width, 4 * channels, 2, 2)
        self.widths = (4 * channels, width)

    def forward(self, voxels: Tensor, run: Run = keeping) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and 8."""
        at_8 = run(self._tokens, voxels)
        return self.finer(at_8), at_8

    def _tokens(self, voxels: Tensor) -> Tensor:
        tokens, _ = self.net(voxels)
        at_8: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid)
        return at_8


Stages = ResNetStages | MedicalNetStages | SegResNetStages | DenseNetStages | SwinStages | ViTStages
STAGES: dict[ImageEncoderName, Callable[[int, Size], Stages]] = {
    "resnet10": lambda channels, _: ResNetStages(channels, (1, 1, 1)),
    "resnet18": lambda channels, _: ResNetStages(channels, (2, 2, 2)),
    "resnet50": lambda channels, _: ResNetStages(channels, (3, 4, 6), block="bottleneck"),
    "medicalnet10": lambda channels, _: MedicalNetStages(channels, (1, 1, 1, 1), "basic"),
    "medicalnet18": lambda channels, _: MedicalNetStages(channels, (2, 2, 2, 2), "basic"),
    "medicalnet50": lambda channels, _: MedicalNetStages(channels, (3, 4, 6, 3), "bottleneck"),
    "segresnet": lambda channels, _: SegResNetStages(channels),
    "densenet121": lambda channels, _: DenseNetStages(channels, (6, 12)),
    "swinunetr": lambda channels, _: SwinStages(channels),
    "vit": ViTStages,
}


def new_stages(name: ImageEncoderName, channels: int, size: Size) -> Stages:
    """Build an encoder.

    Parameters
    ----------
    size
        Voxels of the model's grid along (S, P, L).
    """
    return STAGES[name](channels, size)
