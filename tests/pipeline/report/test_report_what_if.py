import math

import pytest
from pydantic import ValidationError
from report_examples import evidence, heatmap, report, risk, volume, withheld_risk
from test_report_page import HOSTILE, Page

from pipeline.report.check import check_report
from pipeline.report.page import render_page
from pipeline.report.what_if import condition, view_of
from pipeline.report.write import read_report, write_report
from schemas.prediction import OutcomeProbability, StepAnswer
from schemas.what_if import Change, Modalities, ModalityShare, SubsetRisk, WhatIf

LOGIT = -0.35
"""Of the example: calibrated."""


def chance(log_odds):
    return 1 / (1 + math.exp(-log_odds))


def subset(*present, odds):
    return SubsetRisk(present=present, probability=chance(odds), calibrated_logit=odds)


def share(name, log_odds, *, is_present=True):
    return ModalityShare(name=name, is_present=is_present, log_odds=log_odds)


def modalities(**changes):
    """Return a case without notes: image and table raise it by 1.15 and 0.5."""
    values = {
        "shares": (share("image", 1.15), share("notes", 0, is_present=False), share("table", 0.5)),
        "subsets": (
            subset(odds=-2.0), subset("image", odds=-1.0), subset("table", odds=-1.65),
            subset("image", "table", odds=LOGIT),
        ),
    }  # fmt: skip
    return Modalities(**(values | changes))


def change(odds=-2.0, **values):
    told = {
        "kind": "concept", "name": "fits", "label": "Own seizures", "before": "present",
        "probability": chance(odds), "calibrated_logit": odds,
    }  # fmt: skip
    return Change(**(told | values))


def made(*changes, **values):
    what_if = WhatIf(modalities=modalities(), changes=changes)
    return report(risk(what_if=what_if, **values))


def text_of(found):
    return Page(render_page(found, volume=volume(), heatmaps={"mass": heatmap()})).text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param(
            {}, "If the notes did not speak of “Own seizures” (read: present)", id="not said"
        ),
        pytest.param(
            {"after": "absent"}, "If “Own seizures” were absent, not present", id="turned"
        ),
        pytest.param(
            {"kind": "table", "name": "crp_level", "label": "", "before": 80.5, "after": 12.0,
             "unit": "mg/L", "reference": "mean"},
            "If “crp level” were 12 mg/L, the mean of the training patients, not 80.5 mg/L",
            id="number",
        ),
        pytest.param(
            {"kind": "table", "name": "crp", "label": "CRP", "before": 80.5, "after": 5.0,
             "unit": "mg/L", "reference": "normal"},
            "If “CRP” were 5 mg/L, the nearest normal value, not 80.5 mg/L", id="normal",
        ),
        pytest.param(
            {"kind": "table", "name": "cancer", "label": "Cancer", "before": True, "after": False},
            "If “Cancer” were no, not yes", id="flag",
        ),
        pytest.param(
            {"kind": "image", "name": "", "label": "", "before": None},
            "If what the heatmap points at looked like what is around it", id="image",
        ),
    ],
)  # fmt: skip
def test_a_change_is_said_in_plain_words(values, words):
    assert condition(change(**values)).replace("\u00a0", " ") == words


def test_the_page_gives_the_risk_before_and_after():
    text = text_of(made(change()))
    assert (
        "If the notes did not speak of “Own seizures” (read: present): 12 % instead of 41 %" in text
    )


def test_only_the_five_facts_of_largest_effect_are_told_each_once():
    changes = [change(odds=-0.5 - 0.2 * n, name=f"c{n}", label=f"Fact {n}") for n in range(7)]
    changes += [change(odds=-0.6, name="c6", label="Fact 6", after="absent")]
    found = view_of(WhatIf(modalities=modalities(), changes=tuple(changes)))
    assert ["Fact 6" in one.condition for one in found.changes] == [True] + 4 * [False]
    assert [one.condition.split("“")[1][:6] for one in found.changes] == [
        "Fact 6", "Fact 5", "Fact 4", "Fact 3", "Fact 2",
    ]  # fmt: skip
    assert found.n_unlisted == 3


@pytest.mark.parametrize("step", [0.01, -0.028], ids=["41.3 to 41.6 %", "41.3 to 40.7 %"])
def test_what_rounds_to_the_same_percent_is_not_told(step):
    text = text_of(made(change(odds=LOGIT + step)))
    assert "No single fact that could be turned round moves the number" in text
    assert "1 more in report.json" in text


def test_the_modalities_stand_with_their_shares_and_the_risk_without_each():
    text = text_of(made())
    assert "Nothing 12 % \u22122.00" in text
    assert "Image 16 % 27 % +1.15" in text
    assert "Notes not there" in text
    assert "Table 27 % 16 % +0.50" in text
    assert "Sum, calibrated Log-odds of 41 %" in text


def test_a_row_of_the_evidence_has_the_risk_without_it():
    parts = evidence()
    table = (parts.table[0].model_copy(update={"probability_without": 0.07}), parts.table[1])
    notes = (parts.notes[0].model_copy(update={"probability_without": 0.93}),)
    parts = parts.model_copy(update={"table": table, "notes": notes})
    text = text_of(made(parts=parts))
    html = render_page(made(parts=parts), volume=volume(), heatmaps={"mass": heatmap()})
    assert html.count('class="without matters"') == 3  # age, image, note: each by 5 % or more
    assert "age 71 years 7 % +0.50" in text
    assert "No history of seizures. 93 % \u22120.25" in text
    assert "Image sum over all voxels 16 % +0.70" in text
    assert "crp level missing \u22120.12" in text


def test_of_several_classes_the_one_that_is_meant_is_named():
    outcomes = tuple(
        OutcomeProbability(label=label, probability=value, train_share=0.3)
        for label, value in (("none", 1 - chance(LOGIT)), (HOSTILE, chance(LOGIT)))
    )
    steps = StepAnswer(kind="multiclass", outcomes=outcomes, shown=HOSTILE, logit_of="that")
    found = made(change(), steps=steps, train_prevalence=None)
    html = render_page(found, volume=volume(), heatmaps={"mass": heatmap()})
    assert HOSTILE not in html
    text = Page(html).text
    assert f"All of these are probabilities of: {HOSTILE}" in text
    assert f"instead of 41 % for {HOSTILE}." in text


def test_hostile_labels_and_values_stay_text():
    html = render_page(
        made(change(label=HOSTILE), change(odds=-1, name="x", label=HOSTILE, after=HOSTILE)),
        volume=volume(), heatmaps={"mass": heatmap()},
    )  # fmt: skip
    assert HOSTILE not in html
    assert "<script>alert" not in html
    assert "<img" not in html
    assert Page(html).text.count("alert(1)") >= 4


def test_it_is_written_and_read_back(tmp_path):
    found = made(change(), change(kind="table", name="cancer", before=True, after=False))
    write_report(tmp_path / "s", found, volume=volume(), heatmaps={"mass": heatmap()})
    again = read_report(tmp_path / "s")
    assert again == found
    assert again.risks[0].what_if.changes[1].before is True


def test_shares_that_do_not_sum_and_subsets_that_are_missing_are_refused():
    with pytest.raises(ValidationError, match="sum to"):
        modalities(shares=(share("image", 1.2), share("table", 0.5)))
    with pytest.raises(ValidationError, match="must all be there"):
        modalities(subsets=modalities().subsets[1:])


def test_a_report_that_contradicts_its_what_if_is_not_written():
    other = modalities(
        shares=(share("image", 1.0), share("notes", 0, is_present=False), share("table", 0.5)),
        subsets=(*modalities().subsets[:-1], subset("image", "table", odds=-0.5)),
    )
    wrong = report(risk(what_if=WhatIf(modalities=other)))
    with pytest.raises(ValueError, match="with all read"):
        check_report(wrong, volume(), {"mass": heatmap()})
    blank = change(kind="image", name="", label="", before=None)
    unseen = report(
        risk(has_heatmap=False, what_if=WhatIf(modalities=modalities(), changes=(blank,)))
    )
    with pytest.raises(ValueError, match="without a heatmap"):
        check_report(unseen, volume(), {})
    told = withheld_risk().model_copy(update={"what_if": WhatIf(modalities=modalities())})
    with pytest.raises(ValueError, match="without a probability"):
        check_report(report(told, status="withheld"), volume(), {})
