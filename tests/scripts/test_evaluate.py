"""`evaluate`: a model's scores on data, and what is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from openfl.protocols import utils
from rich.console import Console

from scripts.evaluate import evaluate
from scripts.report.evaluation import CELLS, tables
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import InputError
from src.model.unet import GliomaUNet
from src.model_vector import TENSOR, Manifest
from src.names import MOST_SITE
from src.secure_aggregation.framing import MAGIC


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


def test_an_encrypted_model_is_refused_with_its_path_once_and_what_to_do(tmp_path, phantom_sites):
    path = tmp_path / "a b.pbuf"
    proto = utils.construct_model_proto({TENSOR: np.zeros(1, np.float32)}, 0, PlainPipeline())
    proto.tensors[0].data_bytes = MAGIC + bytes(8)
    utils.dump_proto(proto, str(path))
    result = CliRunner().invoke(
        evaluate, ["--model", str(path), "--data", str(phantom_sites["one"].parent)]
    )
    assert isinstance(result.exception, InputError)
    said = str(result.exception)
    assert said.startswith(f"{path}: this model is encrypted, and a site opens it")
    assert f"--model '{path}' --out" in said
    assert "not a model" not in said


def test_the_tables_hold_the_longest_name_in_80_columns():
    numbers = dict.fromkeys(CELLS, 181.9)
    results = {"x" * MOST_SITE: {"cases": 1251, "dice": numbers, "hd95_mm": numbers}}
    console = Console(width=80, record=True, file=io.StringIO())
    for table in tables(results):
        console.print(table)
    lines = console.export_text().splitlines()
    assert sum("x" * MOST_SITE in line and line.count("181.9") == 4 for line in lines) == 2
    assert len(lines) == 6
