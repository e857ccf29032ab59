import re
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    path
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("data_samples/*.md"),
    ]
    if path.is_file()
]


def test_the_readme_names_every_command_and_no_other() -> None:
    named = set(re.findall(r"^\| `synopt (\w+)", README, flags=re.MULTILINE))
    assert named == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_makefile_has_every_target_that_the_readme_names() -> None:
    named = set(re.findall(r"make ([a-z-]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test", "lint", "bench"} <= named <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def test_the_constraints_pin_every_dependency() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    block = pyproject[pyproject.index("dependencies = [") : pyproject.index("[project.scripts]")]
    wanted = re.findall(r'^\s+"([A-Za-z0-9_.-]+)', block, flags=re.MULTILINE)
    pinned = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "constraints.txt").read_text(), re.M)
    known = {name.lower().replace("_", "-") for name in pinned}
    assert [name for name in wanted if name.lower().replace("_", "-") not in known] == []
