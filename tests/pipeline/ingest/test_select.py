from datetime import datetime

import pytest

from pipeline.ingest import select_series
from pipeline.ingest.content import Content
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
    assert "0 points for t1, the chosen one has 4" in uses[0].reason
    assert "+2 't1' in its description, +2 'mprage'" in uses[1].reason
    assert [(use.scores[0].points, use.scores[0].rank) for use in uses] == [(0.0, 2), (4.0, 1)]


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
    assert "equal in all else" in uses[0].reason


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


def reason_for(rule: SeriesRule, *found: Series) -> str:
    return select_series(study(*found), (rule,))[1][0].reason


@pytest.mark.parametrize(
    ("rule", "changes", "words"),
    [
        pytest.param({"max_slices": 10}, {}, "more than the 10", id="slices"),
        pytest.param({"max_spacing_mm": 3.0}, {}, "5.00 mm between slices", id="spacing"),
        pytest.param({"orientation": "sagittal"}, {}, "axial, where x wants sagittal", id="plane"),
        pytest.param(
            {"excluded": ("scout",)},
            {"description": "Scout T1"},
            "'scout' in its description",
            id="word",
        ),
        pytest.param(
            {"parts": ({"trait": "echo time", "take": "30"},)},
            {"traits": (("echo time", "12"),)},
            "echo time 12, where x wants 30",
            id="part",
        ),
    ],
)
def test_what_a_rule_demands_rules_a_series_out(
    rule: dict[str, object], changes: dict[str, object], words: str
) -> None:
    wanted = SeriesRule.model_validate({"name": "x", "modality": "MR"} | rule)
    assert words in reason_for(wanted, series("1.1", **changes))
    assert "Chosen" in reason_for(SeriesRule(name="x", modality="MR"), series("1.1", **changes))


@pytest.mark.parametrize(
    ("rule", "better", "worse"),
    [
        ({"body_parts": ("chest",)}, {"body_part": "CHEST"}, {"body_part": "HEAD"}),
        ({"body_parts": ("chest",)}, {"body_part": ""}, {"body_part": "HEAD"}),
        ({"kernels": ("B70",)}, {"kernel": "B70f"}, {"kernel": "B31f"}),
        ({"contrast": "with"}, {"contrast_agent": True}, {"contrast_agent": False}),
        ({"contrast": "without"}, {"contrast_agent": False}, {"contrast_agent": True}),
        ({"contrast": "with"}, {"description": "Ax T1 post gd"}, {"description": "Ax T1"}),
        ({"contrast": "without"}, {"description": "native"}, {"description": "portal venous"}),
        ({"contrast": "without"}, {"description": "non contrast"}, {"description": "contrast"}),
        ({}, {"component": "magnitude"}, {"component": "phase"}),
    ],
)
def test_what_speaks_for_a_series_wins_over_more_slices(
    rule: dict[str, object], better: dict[str, object], worse: dict[str, object]
) -> None:
    wanted = SeriesRule.model_validate({"name": "x", "modality": "MR"} | rule)
    found = study(series("1.1", n=200, **worse), series("1.2", n=20, **better))
    chosen, uses, issues = select_series(found, (wanted,))
    assert chosen["x"].series_uid == "1.2"
    assert [use.scores[0].rank for use in uses] == [2, 1]
    assert issues == ()


@pytest.mark.parametrize(("take", "uid"), [("first", "1.3"), ("last", "1.1"), ("20", "1.2")])
def test_the_protocol_says_which_echo_is_read(take: str, uid: str) -> None:
    echoes = [
        series(f"1.{number}", traits=(("echo time", time),), part=f"echo time {time}")
        for number, time in ((1, "100"), (2, "20"), (3, "9"))
    ]
    parts = ({"trait": "echo time", "take": take},)
    rule = SeriesRule.model_validate({"name": "x", "modality": "MR", "parts": parts})
    chosen, _, issues = select_series(study(*echoes), (rule,))
    assert chosen["x"].series_uid == uid
    assert issues == ()


def test_two_series_that_fit_equally_well_are_a_doubt() -> None:
    _, _, issues = select_series(study(series("1.1", n=20), series("1.2", n=30)), (T1,))
    assert [(issue.code, issue.severity) for issue in issues] == [
        (IssueCode.SERIES_UNSURE, Severity.WARNING)
    ]


def test_values_speak_where_the_header_is_silent_and_are_read_once() -> None:
    asked = []

    def look(found: Series) -> Content:
        asked.append(found.series_uid)
        return Content(lungs=found.series_uid == "1.2", contrast=found.series_uid == "1.2")

    rules = tuple(
        SeriesRule(name=name, modality="CT", contrast="with", lungs="with") for name in ("a", "b")
    )
    found = study(
        series("1.1", modality="CT", n=200),
        series("1.2", modality="CT"),
        series("1.3"),
    )
    chosen, uses, _ = select_series(found, rules, look)
    assert chosen["a"].series_uid == "1.2"
    assert uses[1].scores[0].points == 3
    assert uses[0].scores[0].points == -3
    assert sorted(asked) == ["1.1", "1.2"]
