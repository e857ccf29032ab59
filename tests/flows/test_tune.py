"""`synopt tune` through the command line."""

import math
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from pipeline.errors import UsageError
from pipeline.protocol import read_protocol
from pipeline.train.labelled import Source
from pipeline.train.space import DEFAULT_SPACE, read_space
from pipeline.train.tune import Search
from schemas.search import SearchRecord, SettingImportance, Trial

PROTOCOL = Path(__file__).parents[2] / "data_samples" / "protocols" / "brain_mr.yaml"


def trial(number: int, loss: float | None, **more: object) -> Trial:
    values = {"state": "complete", "seconds": 12.4} | more
    settings = {"training.learning_rate": 0.00123456, "model.fusion": f"late{number}"}
    return Trial.model_validate({"number": number, "settings": settings, "loss": loss, **values})


def record(*trials: Trial) -> SearchRecord:
    return SearchRecord(
        protocol_sha256="", space=DEFAULT_SPACE, seed=0, cases_sha256="", n_train=60,
        n_validation=30, trials=trials,
        importance=(SettingImportance(setting="training.sparsity", share=0.734),),
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the search was asked; its answer is made up."""
    told: list[tuple[object, ...]] = []

    def search(*arguments: object, **_: object) -> SearchRecord:
        told.append(arguments)
        better = [trial(number, 0.6 - 0.01 * number) for number in range(1, 7)]
        failed = trial(7, None, state="failed", reason="no")
        return record(trial(0, 0.7), *better, failed, trial(8, 0.9, state="pruned"))

    monkeypatch.setattr("pipeline.train.tune.tune", search)
    return told


def test_the_best_five_are_shown_beside_the_protocol_as_given(
    asked: list[tuple[object, ...]], tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model: {layers: {low: 1, high: 2}}\n")
    arguments = ["tune", str(tmp_path), "--protocol", str(PROTOCOL), "--out", str(tmp_path / "o")]
    more = [
        "--trials",
        "12",
        "--minutes",
        "1.5",
        "--space",
        str(space),
        "--seed",
        "4",
        "--cache",
        str(tmp_path / "c"),
    ]
    shown = CliRunner().invoke(app, [*arguments, *more], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    search = Search(read_space(space), seed=4, n_trials=12, minutes=1.5)
    source = Source(tmp_path, "", tmp_path / "c")
    assert asked == [(source, read_protocol(PROTOCOL), tmp_path / "o", search)]
    assert [f"late{n}" in shown.output for n in range(9)] == [
        True,
        False,
        *[True] * 5,
        False,
        False,
    ]
    assert shown.output.index("late6") < shown.output.index("late2") < shown.output.index("late0")
    for words in (
        "0 (as given)", "0.5400", "learning_rate 0.00123", "sparsity 73%", "1 failed",
        "1 stopped early", "after 9 of 12 trials", str(tmp_path / "o" / "best.yaml"),
    ):  # fmt: skip
        assert words in shown.output
    CliRunner().invoke(app, arguments)
    assert asked[1][3] == Search(DEFAULT_SPACE, seed=0, n_trials=30, minutes=math.inf)
    assert CliRunner().invoke(app, [*arguments, "--quiet"]).output == ""


def test_a_wrong_file_of_settings_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("training: {learning_rat: {low: 1, high: 2}}\n")
    arguments = ["tune", str(tmp_path), "--protocol", str(PROTOCOL), "--out", str(tmp_path / "o")]
    shown = CliRunner().invoke(app, [*arguments, "--space", str(space)])
    assert isinstance(shown.exception, UsageError)
    assert "training.learning_rat: there is no such setting" in str(shown.exception)
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cohort_is_searched_and_its_best_protocol_can_be_trained(tmp_path: Path) -> None:
    cohort, out, path = tmp_path / "cohort", tmp_path / "search", tmp_path / "tiny.yaml"
    world = ["--world", "brain_mr", "--size", "48x30", "--cases", "150", "--seed", "3"]
    assert CliRunner().invoke(app, ["phantom", str(cohort), *world]).exit_code == 0
    content = yaml.safe_load(PROTOCOL.read_text())
    shares = {"train": 0.4, "validation": 0.2, "calibration": 0.2, "conformal": 0.0}
    content["tasks"] = content["tasks"][:1]
    content["training"] = {"epochs": 2, "splits": {"by": "stratified", **shares}}
    path.write_text(yaml.safe_dump(content))
    arguments = ["tune", str(cohort), "--protocol", str(path), "--out", str(out), "--trials", "2"]
    arguments += ["--cache", str(tmp_path / "cache")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    found = SearchRecord.model_validate_json((out / "trials.json").read_text())
    assert [trial.state for trial in found.trials] == ["complete"] * 2
    assert read_protocol(out / "best.yaml").tasks == read_protocol(path).tasks
