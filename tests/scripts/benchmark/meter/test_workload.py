"""The benchmark's workload: its size, its noise, and its exact mean by hand."""

import numpy as np
import pytest

from scripts.benchmark.meter import workload


def test_the_state_has_75_tensors_and_1_2_million_values():
    assert len(workload.shapes()) == 75
    assert workload.initial().size == 1_191_516


def test_packing_undoes_unpacking():
    vector = workload.initial()
    np.testing.assert_array_equal(workload.pack(workload.unpack(vector)), vector)


def test_noise_is_the_sites_and_the_rounds():
    model = workload.initial()
    first = workload.trained(model, 0, 0)
    np.testing.assert_array_equal(first, workload.trained(model, 0, 0))
    assert (first != workload.trained(model, 1, 0)).any()
    assert (first != workload.trained(model, 0, 1)).any()
    assert (first - model).std() == pytest.approx(workload.NOISE, rel=0.01)


def test_the_exact_mean_by_hand():
    model = workload.initial()
    trained = [workload.trained(model, site, 0).astype(np.float64) for site in range(3)]
    by_hand = (5 * trained[0] + 2 * trained[1] + 4 * trained[2]) / 11
    assert workload.largest_error(by_hand, 1) < 1e-7
    unweighted = np.mean(trained, axis=0)
    assert workload.largest_error(unweighted, 1) > 1e-3


def test_events_are_noted_where_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_EVENTS", str(tmp_path / "events"))
    workload.trained(np.zeros(3, np.float32), 2, 5)
    assert '"site": 2, "round": 5' in (tmp_path / "events").read_text()
