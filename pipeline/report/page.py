"""One report as a page that needs nothing but itself."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.heatmap import Heatmap
from pipeline.report import words
from pipeline.report.evidence import Chart, make_chart
from pipeline.report.scene import Picture, Scan, centre_index, make_picture, prepare_scan
from pipeline.report.what_if import WhatIfView, view_of
from pipeline.volume import Volume
from schemas.issue import Issue, Severity
from schemas.maps import MapCheck
from schemas.report import Risk, RiskReport
from schemas.task import GOAL_NAMES

TEMPLATES = Path(__file__).parent / "templates"
SUM_DIFFERENCE = 0.01
PALEST = 10.0


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task on the page."""

    risk: Risk
    chart: Chart | None
    picture: Picture | None
    outside: float
    """Log-odds of the image that the heatmap does not hold; 0 if it holds them all."""
    what_if: WhatIfView | None


def render_page(
    report: RiskReport, *, volume: Volume | None, heatmaps: Mapping[str, Heatmap]
) -> str:
    """Return the whole HTML of a report; pictures, style and script are inside it."""
    focuses = _focuses(report, volume, heatmaps)
    scan = None if volume is None else prepare_scan(volume, tuple(focuses.values()))
    views = [_view(risk, scan, focuses, heatmaps) for risk in report.risks]
    # Without any heatmap the scan is shown once, not once a task.
    alone = make_picture(scan, focuses[""], None) if scan and "" in focuses else None
    return render(
        "report.html.j2",
        script="report.js",
        report=report,
        views=views,
        scan=scan,
        alone=alone,
        reasons=withholding_reasons(report),
        issues=heaviest_first(report.issues),
    )


def render(template: str, *, script: str = "", **values: object) -> str:
    """Fill a template; the policy in it lets only the inlined style and script, if any, run."""
    style_text = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script_text = (TEMPLATES / script).read_text(encoding="utf-8") if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            style=style_text,
            script=script_text,
            policy=content_policy(style_text, script_text),
            **values,
        )
    )


def content_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: inlined pictures, this style and this script only."""
    return (
        "default-src 'none'; img-src data:; "
        f"style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def withholding_reasons(report: RiskReport) -> tuple[Issue, ...]:
    """Return the issues that forbid a result; failing those, the warnings."""
    errors = tuple(issue for issue in report.issues if issue.severity is Severity.ERROR)
    return errors or tuple(issue for issue in report.issues if issue.severity is Severity.WARNING)


def heaviest_first(issues: Sequence[Issue]) -> tuple[Issue, ...]:
    """Return errors, then warnings, then what is worth knowing."""
    order = (Severity.ERROR, Severity.WARNING, Severity.INFO)
    return tuple(sorted(issues, key=lambda issue: order.index(issue.severity)))


def _focuses(
    report: RiskReport, volume: Volume | None, heatmaps: Mapping[str, Heatmap]
) -> dict[str, tuple[int, int, int]]:
    """Return the point to show for each task with a heatmap, or for ``""`` if none has one."""
    if volume is None:
        return {}
    centre = centre_index(volume)
    shown = {
        risk.task: risk.regions[0].index if risk.regions else centre
        for risk in report.risks
        if risk.task in heatmaps
    }
    return shown or {"": centre}


def _view(
    risk: Risk,
    scan: Scan | None,
    focuses: Mapping[str, tuple[int, int, int]],
    heatmaps: Mapping[str, Heatmap],
) -> TaskView:
    what_if = None if risk.what_if is None else view_of(risk.what_if)
    without_image = None if what_if is None else what_if.modalities[0].without
    chart = None if risk.evidence is None else make_chart(risk.evidence, without_image)
    if scan is None or risk.evidence is None or risk.task not in heatmaps:
        return TaskView(risk, chart, None, 0.0, what_if)
    fade = _fade(risk.map_check)
    picture = make_picture(scan, focuses[risk.task], heatmaps[risk.task], fade=fade)
    outside = risk.evidence.image - (picture.heatmap_sum or 0.0)
    is_close = abs(outside) <= SUM_DIFFERENCE * max(1.0, abs(risk.evidence.image))
    return TaskView(risk, chart, picture, 0.0 if is_close else outside, what_if)


def _fade(check: MapCheck | None) -> float:
    """Return by how much a map that points at nothing is paler than one that just would."""
    if check is None or check.claimed >= check.least:
        return 1.0
    return check.least / max(check.claimed, check.least / PALEST)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "goal_name": GOAL_NAMES.__getitem__,
        "percent": words.percent,
        "signed": words.signed,
        "precise": words.precise,
        "scientific": words.scientific,
        "moment": words.moment,
        "millilitres": words.millilitres,
        "position": words.position,
        "coordinates": words.coordinates,
        "short": words.short,
        "reasons": withholding_reasons,
    }
    return environment


def _finalize(value: object) -> object:
    return words.seen(value) if type(value) is str else value


def _source_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"sha256-{digest}"
