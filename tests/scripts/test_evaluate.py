"""`evaluate`: a model's scores on data, and what is refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from openfl.protocols import utils

from scripts.evaluate import evaluate
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import InputError
from src.model.unet import GliomaUNet
from src.model_vector import TENSOR, Manifest


@pytest.fixture
def model(tmp_path) -> Path:
    state = {name: tensor.numpy() for name, tensor in GliomaUNet().state_dict().items()}
    vector = Manifest.of(state).pack(state)
    proto = utils.construct_model_proto({TENSOR: vector}, 0, PlainPipeline())
    utils.dump_proto(proto, str(tmp_path / "model.pbuf"))
    return tmp_path / "model.pbuf"


def test_every_labelled_case_of_every_site_is_scored(model, phantom_sites, tmp_path):
    data = phantom_sites["one"].parent
    out = tmp_path / "out"
    arguments = ["--model", str(model), "--data", str(data), "--out", str(out)]
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 0, result.output
    scores = json.loads((out / "evaluation.json").read_text())
    assert {site: score["cases"] for site, score in scores.items()} == {
        "one": 5,
        "two": 3,
        "three": 4,
    }
    for score in scores.values():
        assert set(score["dice"]) == {"WT", "TC", "ET", "mean"}
        assert 0 <= score["dice"]["mean"] < 0.5  # an untrained network
        assert score["hd95_mm"]["WT"] > 5


def test_one_folder_of_a_named_kind_is_enough(model, phantom_sites, tmp_path):
    folder = phantom_sites["two"]
    arguments = ["--model", str(model), "--data", str(folder), "--kind", "brats2021"]
    result = CliRunner().invoke(evaluate, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert list(json.loads((tmp_path / "out" / "evaluation.json").read_text())) == ["two"]


def test_a_model_of_another_network_is_refused_by_name(model, phantom_sites):
    arguments = ["--model", str(model), "--data", str(phantom_sites["one"].parent)]
    result = CliRunner().invoke(evaluate, [*arguments, "--set", "task_runner.model.preset=full"])
    assert isinstance(result.exception, InputError)
    assert "model.pbuf: The model vector has shape" in str(result.exception)


def test_nothing_to_evaluate_is_said():
    result = CliRunner().invoke(evaluate, [])
    assert result.exit_code == 2
    assert "Give --run, or --model and --data" in result.output
