from datetime import datetime

import numpy as np
import pytest
from hypothesis import settings

import flows  # noqa: F401  sets the environment's defaults before anything reads it
from pipeline.geometry import Geometry
from pipeline.volume import Volume
from schemas.protocol import Protocol
from schemas.series import FrameSource

# How long an example takes says more about the machine than about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SCAN = datetime(2024, 5, 31, 14, 30)


@pytest.fixture(scope="session")
def tiny_protocol() -> Protocol:
    """Small enough for a network of a few thousand weights."""
    return Protocol.model_validate(
        {
            "name": "tiny",
            "title": "A small question",
            "is_simulated": True,
            "series": [{"name": "t1", "modality": "MR", "min_slices": 4}],
            "grid": {"spacing_mm": [4, 4, 4], "size": [32, 24, 16]},
            "intensity": {"kind": "window", "low": 0, "high": 100},
            "look_back_days": 365,
            "table": [
                {"name": "age", "kind": "number", "unit": "years", "low": 0, "high": 120},
                {"name": "sex", "kind": "category", "categories": ["F", "M"], "undated": True},
                {"name": "smoker", "kind": "flag"},
            ],
            "tasks": [
                {"name": "lesion", "question": "Is there a lesion?"},
                {"name": "fit", "question": "Will the patient have a fit?"},
            ],
            "model": {"image_channels": 4, "width": 16, "layers": 1, "dropout": 0.1},
        }
    )


@pytest.fixture
def protocol(tiny_protocol: Protocol) -> Protocol:
    return tiny_protocol


@pytest.fixture
def volume() -> Volume:
    """An oblique, anisotropic volume of about the tiny grid's extent."""
    tilt = np.deg2rad(10.0)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    axes = turn @ np.array([[0, 0, 4.0], [0, 3.5, 0], [5.0, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = [-60.0, -50.0, 700.0]
    shape = (14, 28, 32)
    array = np.random.default_rng(3).uniform(0, 100, shape).astype(np.float32)
    sources = tuple(FrameSource(file=f"{n}", sop_instance_uid=f"1.2.{n}") for n in range(14))
    return Volume(array, Geometry(affine, shape, "1.9"), "scanner", "1.2.3", sources)
