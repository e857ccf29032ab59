"""Small networks whose parts are none of them zero, and cases for them."""

import torch

from pipeline.model.collate import collate
from pipeline.model.network import FusedNetwork
from pipeline.tensors import FLAGS, ModelInput, ModelOutput, TextInput
from schemas.protocol import Protocol

TEXT_WIDTH = 12


def new_network(protocol: Protocol, n_table_features: int) -> FusedNetwork:
    return FusedNetwork(
        protocol,
        n_table_features,
        torch.randn(2, TEXT_WIDTH),
        text_mean=torch.zeros(TEXT_WIDTH),
        text_scale=torch.ones(TEXT_WIDTH),
    )


def text(n_tokens: int) -> TextInput:
    random = torch.Generator().manual_seed(n_tokens)
    return TextInput(
        features=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        kinds=torch.randn(n_tokens, TEXT_WIDTH, generator=random),
        age_days=torch.full((n_tokens,), 3.0),
        flags=torch.randint(2, (n_tokens, len(FLAGS)), generator=random).float(),
        sentences=(),
    )


def score(network: FusedNetwork, protocol: Protocol, *cases: ModelInput) -> ModelOutput:
    batch = collate(cases, protocol, text_width=TEXT_WIDTH, table_width=2)
    with torch.inference_mode():
        output: ModelOutput = network(batch, with_cells=True)
    return output


def with_model(protocol: Protocol, **changes: object) -> Protocol:
    return protocol.model_copy(update={"model": protocol.model.model_copy(update=changes)})


def shaken(protocol: Protocol) -> FusedNetwork:
    """A network none of whose parts is zero by its initialisation."""
    torch.manual_seed(0)
    network = new_network(protocol, 2)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()
