"""A protocol may allow what ingest refuses by default: unevenly spaced slices."""

from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.series import Series
from schemas.series_rule import SeriesRule


def admitted(series: Series, rule: SeriesRule) -> Series:
    """Return the series as a rule sees it.

    Parameters
    ----------
    series
        As ``discover`` found it.
    rule
        With ``irregular: resample``, a series whose only fault is uneven spacing becomes usable
        if its largest gap is within the rule's bound. It keeps the issue, as a warning.
    """
    resampling = series.resampling
    if resampling is None or series.is_usable or rule.irregular != "resample":
        return series
    if not resampling.largest_gap_mm <= rule.largest_gap_mm:
        return series
    issues = tuple(_allowed(issue, resampling.largest_gap_mm, rule) for issue in series.issues)
    if has_errors(issues):
        return series
    return series.model_copy(
        update={
            "issues": issues,
            "shape": resampling.target_shape,
            "affine_lps": resampling.target_affine_lps,
        }
    )


def _allowed(issue: Issue, gap_mm: float, rule: SeriesRule) -> Issue:
    if issue.code is not IssueCode.GEOMETRY_IRREGULAR or issue.severity is not Severity.ERROR:
        return issue
    message = (
        f"{issue.message.rstrip('.')}; interpolated, since the protocol allows gaps of up to "
        f"{rule.largest_gap_mm:g} mm for {rule.name} and the largest is {gap_mm:.3f} mm."
    )
    return issue.model_copy(update={"severity": Severity.WARNING, "message": message})
