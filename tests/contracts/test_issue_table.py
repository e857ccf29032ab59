from pathlib import Path

from pipeline.issue_table import issue_table
from schemas.issue import IssueCode, Severity

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "issues.md"


def test_the_published_table_of_issues_is_current() -> None:
    renew = "python -m pipeline.issue_table docs/reference/issues.md"
    assert PUBLISHED.read_text() == issue_table(), f"renew it: {renew}"


def test_every_code_and_severity_is_explained_once() -> None:
    lines = issue_table().splitlines()
    for name in (*IssueCode, *Severity):
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert len(line) > len(name) + 20


def test_every_row_of_the_tables_is_one_line() -> None:
    rows = [line for line in issue_table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(Severity) + len(IssueCode)
    assert all(row.endswith(" |") for row in rows)
