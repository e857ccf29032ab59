import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "transformers", "prefect")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        pytest.param("schemas.report", (*HEAVY, "numpy", "pydicom", "pandas"), id="schemas"),
        pytest.param("pipeline.case", HEAVY, id="case"),
        pytest.param("pipeline.report", HEAVY, id="report"),
        pytest.param("pipeline.ingest", HEAVY, id="ingest"),
        pytest.param("pipeline.history", HEAVY, id="history"),
        pytest.param("pipeline.calibration", HEAVY, id="calibration"),
        pytest.param("pipeline.phantom", HEAVY, id="phantom"),
        pytest.param("pipeline.train", ("prefect",), id="train"),
        pytest.param("flows.cli", HEAVY, id="command line"),
    ],
)
def test_a_module_loads_without_what_it_does_not_need(module: str, absent: tuple[str, ...]) -> None:
    code = (
        f"import sys, {module}\n"
        f"found = sorted(set({absent!r}) & set(sys.modules))\n"
        "sys.exit(f'loads {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
