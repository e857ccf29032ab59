from pathlib import Path

import pytest

from pipeline.phantom import WORLDS, Design, write_cohort

N_CASES = 30
SEED = 3


@pytest.fixture(scope="session", params=["brain_mr", "chest_ct"])
def world_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def design(world_name: str) -> Design:
    return Design(world=WORLDS[world_name], seed=SEED)


@pytest.fixture(scope="session")
def cohort(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / design.world.name
    write_cohort(out, design=design, n_cases=N_CASES)
    return out
