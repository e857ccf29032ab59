import pytest
import torch

from pipeline.model.network import FusedNetwork
from pipeline.preprocess import image_input
from pipeline.tensors import ModelInput, TableInput
from pipeline.volume import Volume
from schemas.protocol import Protocol
from tests.pipeline.model.networks import shaken, text


@pytest.fixture
def network(protocol: Protocol) -> FusedNetwork:
    return shaken(protocol)


@pytest.fixture
def whole(volume: Volume, protocol: Protocol) -> ModelInput:
    table = TableInput(
        torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.tensor([True, True, False]), 0
    )
    return ModelInput(image_input([volume], protocol), text(7), table)
