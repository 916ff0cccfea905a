"""The verb on a small model: its rows, its JSON, its ratios, and how it measures."""

import json
import time

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.benchmark.encryption import encryption
from scripts.benchmark.encryption_study import CASES, OURS, PLAIN, STEPS, ratios, write_work
from scripts.benchmark.meter.steps import Steps

STEP = 4.0 * 2.0**-23  # of a 24-bit sum of a model whose values stay below 1


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "encryption.json"
    words = ["--alone", "--widths", "4,8", "--repeats", "1", "--json", str(path)]
    shown = CliRunner().invoke(encryption, words, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "upload_24bit_vs_plain_float32" in shown.output
    return json.loads(path.read_text())


def test_each_contender_has_a_row_with_every_step(written):
    assert [row["name"] for row in written["rows"]] == [*OURS, PLAIN]
    for row in written["rows"]:
        assert all(f"{step}_{unit}" in row for step in STEPS for unit in ("s", "cpu_s", "mb"))


def test_what_was_added_encrypted_is_the_mean(written):
    fine, coarse, plain = (row["max_error"] for row in written["rows"])
    assert plain < 1e-6
    assert fine < len(CASES) * STEP * 4 * max(CASES) / sum(CASES)
    assert fine < coarse < 2**8 * len(CASES) * STEP * 4 * max(CASES) / sum(CASES)


def test_bytes_are_counted_a_value(written):
    plain = next(row for row in written["rows"] if row["name"] == PLAIN)
    assert plain["up_bytes_per_value"] == plain["down_bytes_per_value"] == 4
    assert written["ratios"]["upload_16bit_vs_plain_float32"] > 0.5


def test_ratios_are_theirs_over_ours():
    sizes = {"up_bytes_per_value": 4, "down_bytes_per_value": 4, "seal_s": 2, "seal_cpu_s": 3}
    ours = sizes | {"aggregator_s": 1, "aggregator_cpu_s": 0, "open_s": 1}
    rows = [{"name": name} | ours for name in (*OURS, PLAIN)]
    theirs = {key: 10 * value for key, value in ours.items()}
    found = ratios([*rows, {"name": "NVIDIA FLARE 2.9"} | theirs])
    assert found["upload_24bit_vs_plain_float32"] == 1
    assert found["flare_upload_vs_ours_24bit"] == found["flare_client_vs_ours_16bit"] == 10
    assert "flare_aggregator_cpu_vs_ours_24bit" not in found  # ours was too short to count
    assert not any(name.startswith("flare_one_context") for name in found)


def test_a_step_is_measured_by_itself():
    steps = Steps()
    with steps.step("much"):
        much = np.ones(25_000_000)
    del much
    with steps.step("little"):
        time.sleep(0.05)
    assert steps.figures["much"]["mb"] > steps.figures["little"]["mb"] + 150
    assert steps.figures["little"]["s"] >= 0.05
    assert steps.figures["little"]["cpu_s"] < 0.05


def test_the_work_is_the_sites_models_and_their_exact_mean(tmp_path):
    values = write_work(tmp_path, [4, 8])
    models, expected = np.load(tmp_path / "models.npy"), np.load(tmp_path / "expected.npy")
    assert models.shape == (len(CASES), values)
    np.testing.assert_allclose(expected, np.average(models, axis=0, weights=CASES), atol=1e-7)
    shapes = json.loads((tmp_path / "work.json").read_text())["shapes"]
    assert sum(int(np.prod(shape)) for shape in shapes) == values
