from pathlib import Path

import pytest

from pipeline.phantom.cohort import WorldName, write_cohort

N_CASES = 14
SEED = 3


@pytest.fixture(scope="session", params=["brain_mr", "chest_ct"])
def world_name(request: pytest.FixtureRequest) -> WorldName:
    return request.param


@pytest.fixture(scope="session")
def cohort(world_name: WorldName, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / world_name
    write_cohort(out, world=world_name, n_cases=N_CASES, seed=SEED)
    return out
