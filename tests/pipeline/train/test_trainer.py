"""What the Trainer is told to do otherwise than it would."""

from pathlib import Path

import torch
from torch import nn

from pipeline.train.supervised import Supervised
from pipeline.train.trainer import StepTrainer, arguments
from schemas.protocol import Protocol
from tests.pipeline.model.networks import new_network


def test_a_bert_that_is_trained_along_takes_smaller_steps(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    training = tiny_protocol.training.model_copy(
        update={"learning_rate": 1e-3, "text_learning_rate": 1e-5}
    )
    protocol = tiny_protocol.model_copy(update={"training": training})
    network = new_network(protocol, 4)
    bert = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    network.tunable_text = bert  # type: ignore[assignment]
    supervised = Supervised(network, protocol, image_only=False)
    trainer = StepTrainer(
        model=supervised, args=arguments(protocol, tmp_path, "fused"), eval_dataset=[{}]
    )
    optimizer = trainer.create_optimizer()
    steps = {
        parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]
    }
    assert len(steps) == sum(one.requires_grad for one in supervised.parameters())
    of_bert = set(bert.parameters())
    assert {step for one, step in steps.items() if one in of_bert} == {1e-5}
    assert {step for one, step in steps.items() if one not in of_bert} == {1e-3}
    # Weights decay as before: matrices do, norms and biases do not.
    decay = {
        one: group["weight_decay"] for group in optimizer.param_groups for one in group["params"]
    }
    assert decay[bert[0].weight] == training.weight_decay
    assert decay[bert[0].bias] == 0.0
    assert trainer.create_optimizer() is optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
