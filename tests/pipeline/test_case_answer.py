"""The answers of one sample case, and of one case with a task of each kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle, least_claims_of, load_bundle
from pipeline.calibration import to_log_odds, to_probability
from pipeline.case_answer import CaseReading
from pipeline.cohort import open_cohort, read_case
from pipeline.explain import claims_of
from pipeline.inputs import main_volume, model_input
from pipeline.model.network import FusedNetwork
from pipeline.shown import Shown
from pipeline.tensors import ModelInput
from schemas.calibration import Calibrator, GroupThresholds, StepCalibrator, StepMap
from schemas.metrics import Interval, StepMetrics, StepPerformance
from schemas.report import Risk
from schemas.task import Task

SAMPLES = Path(__file__).parents[2] / "data_samples"
QUESTION = "What will come of it?"
KINDS = (
    Task(name="side", kind="multiclass", question=QUESTION, classes=("none", "left", "right")),
    Task(name="grade", kind="ordinal", question=QUESTION, classes=("none", "small", "large")),
    Task(name="growth", kind="survival", question=QUESTION, horizons_days=(90, 180, 365)),
    Task(name="fit", question=QUESTION),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    reading: CaseReading
    risks: tuple[Risk, ...]
    encoded: list[int]
    """Images that each call of the first network's encoder was given, after the plain pass."""

    @property
    def case(self) -> ModelInput:
        return self.reading.inputs

    def what_if(self, number: int):
        found = self.risks[number].what_if
        assert found is not None
        return found


@contextmanager
def counting(bundle: Bundle) -> Iterator[list[int]]:
    encoded: list[int] = []
    hook = bundle.networks[0].image_encoder.stages.register_forward_pre_hook(
        lambda _, given: encoded.append(len(given[0]))
    )
    yield encoded
    hook.remove()


def answered(reading: CaseReading) -> Sample:
    bundle = reading.bundle
    blanks = tuple(
        Risk(task=task.name, question=task.question, train_prevalence=None)
        for task in bundle.protocol.tasks
    )
    output = bundle.predict([reading.inputs])
    with counting(bundle) as encoded:
        risks, _ = reading.answer(output, blanks)
    return Sample(reading, risks, encoded)


@pytest.fixture(scope="module")
def reading() -> CaseReading:
    """A study of the sample cohort with an image whose map claims something, a table and notes."""
    bundle = load_bundle(SAMPLES / "bundles" / "brain_mr")
    cohort = open_cohort(SAMPLES / "brain_mr", bundle.protocol)
    for study in cohort.inventory.studies:
        case = read_case(cohort, study)
        inputs = model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
        is_told = any(value.value is not None for value in case.history.concepts)
        if len(inputs.present) < 3 or not is_told:
            continue
        claims = claims_of(inputs, bundle.predict([inputs]))
        if (np.asarray(claims) >= least_claims_of(bundle)).any():
            volume = main_volume(case, bundle.protocol)
            return CaseReading(bundle, inputs, case.history, volume)
    pytest.fail("no sample has an image that shows something, a table and notes")


@pytest.fixture(scope="module")
def sample(reading: CaseReading) -> Sample:
    return answered(reading)


@pytest.fixture(scope="module")
def kinds(reading: CaseReading) -> Sample:
    """The same case read by an untrained network with a task of each kind."""
    bundle = reading.bundle
    protocol = bundle.protocol.model_copy(update={"tasks": KINDS})
    first = bundle.networks[0]
    torch.manual_seed(2)
    network = FusedNetwork(
        protocol, bundle.table_transform.width, first.questions,
        text_mean=first.text.mean, text_scale=first.text.scale,
    )  # fmt: skip
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.eval().requires_grad_(requires_grad=False)
    some = Interval(value=0.5, lower=0.4, upper=0.6)
    whole = StepPerformance(group="all", n_cases=9, n_events=3, brier=some, log_loss=some)
    calibrators = [
        StepCalibrator(
            task=task.name, kind=task.kind, n_cases=90, n_events=30,
            map=StepMap(method="temperature", slope=0.5, intercepts=(0.0,) * task.n_steps),
        )
        for task in KINDS[:3]
    ]  # fmt: skip
    metrics = [
        StepMetrics(
            task=task.name, kind=task.kind, whole=whole, questions=(), log_loss_uncalibrated=1.0,
            prevalence_log_loss=1.0, train_shares=(0.2, 0.3, 0.5),
        )
        for task in KINDS[:3]
    ]  # fmt: skip
    other = replace(
        bundle, protocol=protocol, networks=(network,),
        # One network has no spread, so it tells no interval.
        calibrators=(*calibrators, bundle.calibrators[0].model_copy(update={"interval": None})),
        metrics=(*metrics, bundle.metrics[0]),
    )  # fmt: skip
    return answered(replace(reading, bundle=other))


@pytest.mark.parametrize("which", ["sample", "kinds"])
@pytest.mark.parametrize("number", range(4))
def test_the_modalities_shares_sum_to_the_calibrated_log_odds(
    which: str, number: int, request: pytest.FixtureRequest
) -> None:
    read: Sample = request.getfixturevalue(which)
    risk, found = read.risks[number], read.what_if(number).modalities
    nothing = found.subsets[0].calibrated_logit
    total = sum(share.log_odds for share in found.shares)
    assert risk.calibrated_logit is not None
    assert total == pytest.approx(risk.calibrated_logit - nothing, abs=1e-6)
    assert found.subsets[-1].probability == pytest.approx(risk.probability, abs=1e-9)
    assert len(found.subsets) == 8
    assert max(abs(share.log_odds) for share in found.shares) > 1e-3


def test_each_subset_is_calibrated_for_cases_like_it(sample: Sample) -> None:
    bundle = sample.reading.bundle
    for number, calibrator in enumerate(bundle.calibrators):
        for subset in sample.what_if(number).modalities.subsets[:-1]:
            logit = bundle.predict([sample.case.only(subset.present)]).logits[0, number].item()
            expected = to_log_odds(calibrator, logit, subset.present)
            assert subset.calibrated_logit == pytest.approx(float(expected), abs=1e-4)


def test_what_is_left_out_is_left_out_of_the_network(sample: Sample) -> None:
    bundle, case = sample.reading.bundle, sample.case
    assert case.table is not None
    assert case.text is not None
    n_columns = len(bundle.protocol.table)
    for number, calibrator in enumerate(bundle.calibrators):
        evidence = sample.risks[number].evidence
        assert evidence is not None
        rows = [*evidence.table, *evidence.concepts]
        assert len(evidence.table) == n_columns
        for place, row in enumerate(rows):
            assert (row.probability_without is None) == (row.value is None)
            if row.value is not None and number == 0:
                without = replace(case, table=case.table.without(place))
                logit = bundle.predict([without]).logits[0, number].item()
                expected = float(to_probability(calibrator, logit, without.present))
                assert row.probability_without == pytest.approx(expected, abs=1e-5)
        without = replace(case, text=case.text.without({0}))
        logit = bundle.predict([without]).logits[0, number].item()
        expected = float(to_probability(calibrator, logit, without.present))
        assert evidence.notes[0].probability_without == pytest.approx(expected, abs=1e-5)


def test_the_image_is_encoded_once_beyond_the_test_of_the_maps(sample: Sample) -> None:
    # One for each map that claims something and for eight random patches; then the case.
    checks = [risk.map_check for risk in sample.risks if risk.map_check is not None]
    n_claiming = sum(check.status != "nothing_to_delete" for check in checks)
    assert n_claiming > 0
    assert sample.encoded == [n_claiming + 8, 1]


def test_the_risk_with_the_map_painted_over_is_that_of_its_test(sample: Sample) -> None:
    n_painted = 0
    for number, calibrator in enumerate(sample.reading.bundle.calibrators):
        risk = sample.risks[number]
        changes = [one for one in sample.what_if(number).changes if one.kind == "image"]
        assert risk.map_check is not None
        is_shown = not risk.heatmap_reason
        assert len(changes) == (risk.map_check.points and is_shown)
        for change in changes:
            assert risk.logit is not None
            assert risk.map_check.moved is not None
            logit = risk.logit - risk.map_check.moved
            expected = float(to_probability(calibrator, logit, sample.case.present))
            assert change.probability == pytest.approx(expected, abs=1e-5)
            n_painted += 1
    assert n_painted > 0


def test_a_fact_that_is_told_otherwise_is_read_otherwise(sample: Sample) -> None:
    told = [value for value in sample.reading.history.concepts if value.value is not None]
    names = {one.name for one in sample.what_if(0).changes if one.kind == "concept"}
    assert names == {value.name for value in told}
    assert all(
        one.n_sentences >= 1 for one in sample.what_if(0).changes if one.after is None
        and one.kind == "concept"
    )  # fmt: skip


def test_variants_speak_of_the_outcome_that_the_case_shows(kinds: Sample) -> None:
    bundle = kinds.reading.bundle
    shown = tuple(
        0 if risk.steps is None else task.outcomes.index(risk.steps.shown)
        for task, risk in zip(KINDS, kinds.risks, strict=True)
    )
    # A case without its history may well have another most probable class.
    found = Shown(bundle, shown).read([kinds.case.only(["image"])])[0]
    for number, risk in enumerate(kinds.risks):
        assert risk.what_if is not None
        alone = risk.what_if.modalities.risk_of("image")
        assert alone == pytest.approx(1 / (1 + np.exp(-found[number])), abs=1e-5)


def test_a_case_without_notes_or_image_has_what_is_left(reading: CaseReading) -> None:
    bare = replace(reading, inputs=reading.inputs.only(["table"]), volume=None)
    found = answered(bare)
    assert found.encoded == []
    modalities = found.what_if(0).modalities
    assert [share.is_present for share in modalities.shares] == [False, False, True]
    assert len(modalities.subsets) == 2
    assert not any(one.kind == "image" for one in found.what_if(0).changes)


def test_a_set_is_made_by_the_thresholds_of_the_cases_group_and_says_so(
    reading: CaseReading,
) -> None:
    values = tuple(
        value.model_copy(update={"value": True}) if value.name == "prior_cancer" else value
        for value in reading.history.values
    )
    reading = replace(reading, history=reading.history.model_copy(update={"values": values}))
    calibrators = []
    for calibrator, task in zip(
        reading.bundle.calibrators, reading.bundle.protocol.tasks, strict=True
    ):
        assert isinstance(calibrator, Calibrator)
        everything = GroupThresholds(
            value="True", group="Earlier cancer: yes", coverage=0.9, negative=0.0, positive=0.0,
            n_negative=50, n_positive=50,
        )  # fmt: skip
        groups = (everything,) if task.sets_by else ()
        calibrators.append(calibrator.model_copy(update={"conformal_groups": groups}))
    bundle = replace(reading.bundle, calibrators=tuple(calibrators))
    found = {risk.task: risk for risk in answered(replace(reading, bundle=bundle)).risks}
    assert found["progression"].set == ("0", "1")
    assert found["progression"].set_among == "Earlier cancer: yes"
    assert found["lesion"].set_among == ""
