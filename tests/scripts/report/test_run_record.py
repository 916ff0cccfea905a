"""The run's record: which Dice belongs to which model, and what a broken run still tells."""

import json

import pytest

from scripts.report.run_record import read_run
from src.errors import InputError
from tests.scripts.report.conftest import WT, final_line, round_line, write_rounds


def test_dice_of_a_round_is_that_of_the_model_it_made(finished_run):
    record = read_run(finished_run)
    assert [entry["round"] for entry in record["rounds"]] == [1, 2]
    for name, (untrained, first, second) in WT.items():
        assert record["initial"][name]["dice"]["WT"] == untrained
        assert record["rounds"][0]["sites"][name]["dice"]["WT"] == first
        assert record["rounds"][1]["sites"][name]["dice"]["WT"] == second
    assert record["rounds"][1]["sites"]["one"]["loss"] == 0.8


def test_the_contract_of_report_json(finished_run):
    record = read_run(finished_run)
    assert {"plan", "synthetic", "seed", "versions", "sites", "rounds", "final"} <= set(record)
    assert record["sites"][0] == {"name": "one", "train_cases": 6, "validation_cases": 2}
    assert set(record["rounds"][0]) == {"round", "seconds", "bytes_up", "bytes_down", "sites"}
    assert record["final"]["two"] == {
        "cases": 2,
        "dice": {"WT": 0.6, "TC": 0.3, "ET": 0.15, "mean": 0.3},
        "hd95_mm": {"WT": 4.0, "TC": 4.0, "ET": 4.0, "mean": 4.0},
        "empty_reference": {"WT": 0, "TC": 0, "ET": 1},
    }
    assert record["run"]["ended"] is True
    json.dumps(record)


def test_a_run_that_ended_early_tells_what_there_is(finished_run):
    write_rounds(finished_run, [round_line(0)])
    record = read_run(finished_run)
    assert len(record["rounds"]) == 1
    assert record["rounds"][0]["sites"]["one"]["dice"] is None
    assert record["final"] == {}
    assert record["run"]["ended"] is False


def test_a_site_that_was_missing_in_a_round_leaves_a_gap(finished_run):
    second = round_line(1)
    del second["sites"]["two"]
    write_rounds(finished_run, [round_line(0), second, final_line()])
    record = read_run(finished_run)
    assert "two" not in record["rounds"][1]["sites"]
    assert record["rounds"][0]["sites"]["two"]["dice"] is None
    assert [site["name"] for site in record["sites"]] == ["one", "two"]


def test_a_round_that_was_repeated_after_a_restart_counts_once(finished_run):
    again = round_line(0) | {"seconds": 9.0}
    write_rounds(finished_run, [round_line(0), again, round_line(1), final_line()])
    record = read_run(finished_run)
    assert [entry["seconds"] for entry in record["rounds"]] == [9.0, 1.5]


@pytest.mark.parametrize("text", ["", "not json\n", '{"no": "round"}\n'])
def test_a_damaged_round_log_is_named(finished_run, text):
    path = finished_run / "aggregator/workspace" / "logs" / "rounds.jsonl"
    path.write_text(text)
    if text:
        with pytest.raises(InputError, match=r"rounds.jsonl: expected one JSON line a round"):
            read_run(finished_run)
    else:  # the aggregator was started and no round has ended
        assert read_run(finished_run)["rounds"] == []


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"run.json: expected a run's record"):
        read_run(tmp_path)
