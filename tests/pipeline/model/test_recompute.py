import pytest
import torch
from torch import Tensor, nn

from pipeline.model.image_encoder import ImageEncoder, looked_share
from schemas.protocol import Protocol
from schemas.settings import ImageEncoderName


def all_looked(voxels: Tensor) -> Tensor:
    return looked_share(torch.ones_like(voxels, dtype=torch.bool))


def trained(
    encoder: ImageEncoder, voxels: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Gradients, running statistics, and bytes kept for the backward pass."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.untyped_storage().nbytes() if not isinstance(tensor, nn.Parameter) else 0
        return tensor

    torch.manual_seed(7)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = encoder(voxels, all_looked(voxels)).square().mean()
    loss.backward()
    gradients = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    return gradients, {name: value.clone() for name, value in encoder.named_buffers()}, kept


@pytest.mark.parametrize("name", ["resnet10", "medicalnet10", "segresnet", "densenet121", "vit"])
def test_recomputed_activations_change_nothing_but_the_memory(
    name: ImageEncoderName, tiny_protocol: Protocol
) -> None:
    settings = tiny_protocol.model.model_copy(update={"image_encoder": name})
    torch.manual_seed(0)
    plain = ImageEncoder(settings, 1, (16, 24, 32)).train()
    sparing = ImageEncoder(settings, 1, (16, 24, 32), recompute=True).train()
    sparing.load_state_dict(plain.state_dict())
    voxels = torch.randn(3, 1, 16, 24, 32, generator=torch.Generator().manual_seed(1))
    gradients, statistics, kept = trained(plain, voxels)
    same, counted, kept_sparingly = trained(sparing, voxels)
    assert gradients.keys() == same.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(same[parameter], gradient, rtol=1e-5, atol=1e-7)
    for buffer, value in statistics.items():
        torch.testing.assert_close(counted[buffer], value, rtol=0, atol=0)
    assert kept_sparingly < 0.7 * kept


def test_a_network_in_use_keeps_nothing_to_recompute(tiny_protocol: Protocol) -> None:
    encoder = ImageEncoder(tiny_protocol.model, 1, (16, 24, 32), recompute=True).eval()
    voxels = torch.randn(1, 1, 16, 24, 32)
    with torch.inference_mode():
        tokens = encoder(voxels, all_looked(voxels))
    assert tokens.shape == (1, 4 * 6 * 8, encoder.width)
