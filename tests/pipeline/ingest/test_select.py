from datetime import datetime

from pipeline.ingest import select_series
from schemas.issue import Issue, IssueCode, Severity
from schemas.series import Series, Study
from schemas.series_rule import SeriesRule

T1 = SeriesRule(name="t1", modality="MR", descriptions=("t1", "mprage"))
FLAIR = SeriesRule(name="flair", modality="MR", descriptions=("flair", "dark"))
BROKEN = Issue(code=IssueCode.GEOMETRY_TILTED, severity=Severity.ERROR, message="tilted")


def series(uid: str, **changes: object) -> Series:
    n = int(changes.pop("n", 20))  # type: ignore[call-overload]
    spacing = float(changes.pop("spacing", 5.0))  # type: ignore[arg-type]
    affine = ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (spacing, 0.0, 0.0, 0.0), (0, 0, 0, 1))
    values = {"modality": "MR", "shape": (n, 8, 8), "affine_lps": affine} | changes
    return Series(series_uid=uid, study_uid="1.2", n_frames=n, **values)


def study(*found: Series, issues: tuple[Issue, ...] = ()) -> Study:
    return Study(
        study_uid="1.2",
        patient_id="P",
        acquired_at=datetime(2020, 1, 1),
        series=found,
        issues=issues,
        content_sha256="0" * 64,
    )


def test_words_of_the_description_win_over_slices() -> None:
    many, named = series("1.1", n=200), series("1.9", description="Ax T1 mprage")
    chosen, uses, issues = select_series(study(many, named), (T1,))
    assert chosen == {"t1": named}
    assert issues == ()
    assert [use.name for use in uses] == ["", "t1"]
    assert "0 words of t1" in uses[0].reason
    assert "t1, mprage" in uses[1].reason


def test_a_word_counts_only_at_the_beginning_of_a_word() -> None:
    wrong, right = series("1.1", description="post1 scan"), series("1.2", description="sag_t1w")
    assert select_series(study(wrong, right), (T1,))[0] == {"t1": right}


def test_without_words_more_slices_then_more_coverage_then_the_uid_decide() -> None:
    few, many = series("1.1", n=20), series("1.2", n=30)
    assert select_series(study(few, many), (T1,))[0]["t1"] is many
    wide = series("1.3", n=30, spacing=6.0)
    assert select_series(study(many, wide), (T1,))[0]["t1"] is wide
    twin = series("1.0", n=30, spacing=6.0)
    _, uses, _ = select_series(study(wide, twin), (T1,))
    assert [use.name for use in uses] == ["", "t1"]
    assert "Equal" in uses[0].reason


def test_each_reason_against_a_series_is_said() -> None:
    found = study(
        series("1.1", modality="CT"),
        series("1.2", n=5),
        series("1.3", issues=(BROKEN,), shape=None, affine_lps=None),
        series("1.4", component="phase", n=100),
        series("1.5"),
    )
    chosen, uses, _ = select_series(found, (T1,))
    assert chosen["t1"].series_uid == "1.5"
    expected = ("CT, where t1 wants MR", "fewer than the 8", "geometry-tilted", "phase", "Chosen")
    for use, words in zip(uses, expected, strict=True):
        assert words in use.reason
    assert uses[4].spacing_mm == (5.0, 1.0, 1.0)


def test_a_series_serves_one_rule_only() -> None:
    both, other = series("1.1", description="t1 flair"), series("1.2")
    chosen, uses, _ = select_series(study(both, other), (T1, FLAIR))
    assert chosen == {"t1": both, "flair": other}
    assert [use.name for use in uses] == ["t1", "flair"]
    assert "Already serves t1." in uses[0].reason


def test_where_none_fits_the_issue_says_what_there_was() -> None:
    found = study(series("1.1", modality="CT"), series("1.2", n=5))
    chosen, uses, issues = select_series(found, (T1,))
    assert chosen == {}
    assert [(issue.code, issue.severity) for issue in issues] == [
        (IssueCode.SERIES_MISSING, Severity.WARNING)
    ]
    assert "1 CT (1 usable), 1 MR (1 usable)" in issues[0].message
    assert not any(use.name for use in uses)


def test_a_study_that_is_refused_serves_nothing() -> None:
    conflict = Issue(code=IssueCode.IDENTITY_CONFLICT, severity=Severity.ERROR, message="two")
    chosen, uses, _ = select_series(study(series("1.1"), issues=(conflict,)), (T1,))
    assert chosen == {}
    assert "as a whole" in uses[0].reason
