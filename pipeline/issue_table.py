"""The documented table of all issue codes.

``python -m pipeline.issue_table docs/reference/issues.md`` writes it.
Made from the docstrings in schemas/issue.py, which are the only place where a code is explained.
"""

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path

from pipeline.files import write_text
from schemas import issue
from schemas.issue import IssueCode, Severity

_HEAD = """# Issue codes

Every fault and every doubt about patient data is an issue: a code, a severity and one sentence. An
issue travels with the data to the report; it is never an exception, and never names a patient. This
page is written by `python -m pipeline.issue_table docs/reference/issues.md`.

| severity | meaning |
| --- | --- |
"""


def issue_table() -> str:
    """Return the page that explains every severity and code."""
    severities = _docstrings(Severity.__name__)
    codes = _docstrings(IssueCode.__name__)
    lines = [f"| `{Severity[name]}` | {text} |" for name, text in severities.items()]
    lines += ["", "| code | meaning |", "| --- | --- |"]
    lines += [f"| `{IssueCode[name]}` | {text} |" for name, text in codes.items()]
    return _HEAD + "\n".join(lines) + "\n"


def _docstrings(class_name: str) -> dict[str, str]:
    """Return the docstring under each member of an enumeration in schemas/issue.py, by its name."""
    tree = ast.parse(inspect.getsource(issue))
    (found,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name
    ]
    return {
        member.targets[0].id: " ".join(text.value.value.split())
        for member, text in pairwise(found.body)
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), issue_table())
