"""The aggregator's own decisions, without processes: OpenFL's objects, called as by its server."""

import json
import sqlite3
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from openfl.component.aggregator.straggler_handling import CutoffTimePolicy, WaitForAllPolicy
from openfl.pipelines import TensorCodec
from openfl.protocols import utils
from openfl.utilities import TensorKey

from src.engines.openfl import aggregator as module
from src.engines.openfl.aggregation_function import Rule
from src.engines.openfl.aggregator import Aggregator
from src.engines.openfl.assigner import TrainThenValidate
from src.engines.openfl.model_file import read_model
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import Damaged, Refused, RunFailed, SettingError
from src.model_vector import TENSOR
from tests.patience import HANG_S, until

SITES = ["one", "two"]
CASES = {"one": 3, "two": 1}
MEAN = {"template": "src.aggregation.weighted_mean.WeightedMean"}
START = np.zeros(4, np.float32)
OPEN = {"template": "tests.open_gate.OpenGate"}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Builds an aggregator in an empty folder; short farewells."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)
    monkeypatch.setattr(module, "TICK_S", 0.02)
    for folder in ("save", "local_state", "logs"):
        (tmp_path / folder).mkdir()
    initial = utils.construct_model_proto({TENSOR: START}, 0, PlainPipeline())
    utils.dump_proto(initial, "save/init.pbuf")

    def build(rounds: int = 1, policy=WaitForAllPolicy, rule=MEAN, **settings) -> Aggregator:
        tasks = {name: {} for name in ("validation", "train", "final_validation")}
        tasks["train"]["aggregation_type"] = Rule(rule)
        schedule = TrainThenValidate(
            each_round=["validation", "train"],
            final=["final_validation"],
            tasks=tasks,
            authorized_cols=SITES,
            rounds_to_train=rounds,
        )
        return Aggregator(
            gate=OPEN,
            aggregator_uuid="aggregator_plan",
            federation_uuid="plan",
            authorized_cols=SITES,
            init_state_path="save/init.pbuf",
            best_state_path="save/best.pbuf",
            last_state_path="save/last.pbuf",
            assigner=schedule,
            compression_pipeline=PlainPipeline(),
            straggler_handling_policy=policy,
            rounds_to_train=rounds,
            use_delta_updates=False,
            db_store_rounds=2,
            **settings,
        )

    return build


def send(aggregator: Aggregator, site: str, task: str, model: np.ndarray | None = None) -> None:
    """What a site sends after a task, through the pipeline."""
    number = aggregator.round_number
    name, tags = ("loss", ("metric",)) if task == "train" else ("dice", ("metric", "validate_agg"))
    tensors = {TensorKey(name, site, number, True, tags): np.array(0.5)}
    if model is not None:
        tensors[TensorKey(TENSOR, site, number, False, ("trained",))] = model
    codec = TensorCodec(PlainPipeline())
    named = []
    for key, tensor in tensors.items():
        packed = codec.compress(key, tensor, require_lossless=True)
        named.append(utils.construct_named_tensor(*packed, lossless=True))
    aggregator.send_local_task_results(site, number, task, CASES[site], named)


def train_round(aggregator: Aggregator, step: float = 1.0) -> None:
    """Every site validates and trains: site one moves by `step`, site two by 5 * `step`."""
    for site, move in zip(SITES, (step, 5 * step), strict=True):
        send(aggregator, site, "validation")
        send(aggregator, site, "train", START + np.float32(move))


def validate_final(aggregator: Aggregator) -> None:
    for site in SITES:
        send(aggregator, site, "final_validation")


def test_the_final_model_is_there_after_the_last_training_round(make):
    aggregator = make(rounds=1)
    train_round(aggregator)
    assert read_model(module.Path("save/final.pbuf")).tolist() == [2.0] * 4  # (3 * 1 + 1 * 5) / 4
    assert not aggregator._time_to_quit()  # it is still to be validated
    validate_final(aggregator)
    assert aggregator._time_to_quit()


def test_each_round_leaves_a_line_of_what_the_aggregator_saw(make):
    aggregator = make(rounds=1)
    aggregator.get_tasks("one")
    train_round(aggregator)
    validate_final(aggregator)
    first, last = map(json.loads, module.Path("logs/rounds.jsonl").read_text().splitlines())
    assert first["sites"]["two"] == {
        "metrics": {"validation": {"dice": 0.5}, "train": {"loss": 0.5}},
        "validation_cases": 1,
        "train_cases": 1,
    }
    assert first["seconds"] is not None
    assert first["bytes_up"] > 2 * START.nbytes
    assert last["round"] == 1


def test_the_checkpoint_keeps_one_model_however_many_rounds(make):
    aggregator = make(rounds=4)
    for step in range(4):
        train_round(aggregator, step)
    with sqlite3.connect("local_state/tensor.db") as database:
        assert database.execute("SELECT round FROM tensors").fetchall() == [(3,)]
    database.close()


def waiting(aggregator: Aggregator, site: str) -> tuple[threading.Thread, list]:
    answers: list = []
    thread = threading.Thread(target=lambda: answers.append(aggregator.get_tasks(site)))
    thread.start()
    return thread, answers


def test_a_call_for_work_is_held_until_there_is_some(make):
    aggregator = make(rounds=2, idle_wait_s=30.0)
    send(aggregator, "one", "validation")
    send(aggregator, "one", "train", START)
    thread, answers = waiting(aggregator, "one")
    time.sleep(0.2)
    assert answers == []  # site two is still at work
    send(aggregator, "two", "validation")
    send(aggregator, "two", "train", START)
    thread.join(5)
    tasks, number, wait_s, quit_now = answers[0]
    assert (tasks, number, wait_s, quit_now) == (["validation", "train"], 1, 0, False)


def test_a_held_call_ends_after_its_time_and_the_site_asks_again(make):
    aggregator = make(idle_wait_s=0.1)
    send(aggregator, "one", "validation")
    send(aggregator, "one", "train", START)
    assert aggregator.get_tasks("one") == (None, 0, 0, False)


def test_calls_beyond_the_held_ones_are_sent_away_for_a_second(make):
    aggregator = make(idle_wait_s=HANG_S, waiting_sites=0)
    send(aggregator, "one", "validation")
    send(aggregator, "one", "train", START)
    assert aggregator.get_tasks("one") == (None, 0, 1, False)  # a held one would hang here


def test_the_process_ends_when_every_site_was_told(make):
    aggregator = make(rounds=1)
    train_round(aggregator)
    validate_final(aggregator)
    thread = threading.Thread(target=aggregator.all_quit_jobs_sent)
    thread.start()
    for site in SITES:
        assert thread.is_alive()
        assert aggregator.get_tasks(site)[3] is True
    thread.join(HANG_S)
    assert not thread.is_alive()
    assert json.loads(module.Path("local_state/run.json").read_text())["ended"] is True


def test_a_site_that_is_gone_at_the_end_does_not_keep_the_process(make):
    aggregator = make(rounds=1, site_grace_s=0.3)
    train_round(aggregator)
    validate_final(aggregator)
    aggregator.valid_collaborator_cn_and_id("one", "one")
    aggregator.get_tasks("one")
    assert aggregator.all_quit_jobs_sent() is True  # two never asked again


def test_a_rule_that_raises_ends_the_run_and_sends_everyone_home(make):
    aggregator = make(rounds=3)
    for site, model in (("one", START), ("two", np.zeros(9, np.float32))):
        send(aggregator, site, "validation")
        send(aggregator, site, "train", model)
    assert [aggregator.get_tasks(site)[3] for site in SITES] == [True, True]
    with pytest.raises(RunFailed, match=r"Round 0: .*site two sent shape \(9,\)"):
        aggregator.all_quit_jobs_sent()


def test_a_silent_site_ends_a_run_that_waits_for_all(make):
    aggregator = make(site_grace_s=0.01)
    time.sleep(0.05)  # nobody calls
    aggregator._may_end()
    aggregator.get_tasks("one")
    with pytest.raises(RunFailed, match=r"waits for .*two \(never connected; waited"):
        aggregator.all_quit_jobs_sent()


def test_the_straggler_policy_says_how_many_sites_a_round_needs(make):
    def policy():
        return CutoffTimePolicy(straggler_cutoff_time=1000, minimum_reporting=1)

    assert make(policy=policy).presence.needed == 1
    assert make().presence.needed == len(SITES)


def test_a_rule_that_a_round_may_leave_with_too_few_sites_does_not_start(make, caplog):
    median = {"template": "src.aggregation.median.Median", "settings": {"liars": 1}}
    with pytest.raises(SystemExit):
        make(rule=median)
    assert "A round may end with 2 sites: Median needs 3 sites" in caplog.text


def test_a_revoked_site_is_gone_at_once(make):
    aggregator = make(site_grace_s=1000.0)
    aggregator.gate.revoked_sites = ["two"]
    aggregator._may_end()
    aggregator.get_tasks("one")
    with pytest.raises(RunFailed, match=r"waits for two \(its certificate is revoked\)"):
        aggregator.all_quit_jobs_sent()


def test_what_a_site_sent_before_it_was_revoked_does_not_count(make):
    def policy():
        return CutoffTimePolicy(straggler_cutoff_time=1, minimum_reporting=1)

    aggregator = make(rounds=1, policy=policy)
    aggregator.get_tasks("one")  # starts the clock of the cut-off
    send(aggregator, "two", "validation")
    send(aggregator, "two", "train", START + np.float32(99))
    aggregator.gate.revoked_sites = ["two"]
    send(aggregator, "one", "validation")
    send(aggregator, "one", "train", START + np.float32(1))
    final = module.Path("save/final.pbuf")
    until(final.is_file, "the final model, from the cut-off's own thread")
    assert read_model(final).tolist() == [1.0] * 4
    (line,) = map(json.loads, module.Path("logs/rounds.jsonl").read_text().splitlines())
    assert set(line["sites"]) == {"one"}


def test_what_arrives_and_leaves_goes_through_the_gate(make):
    aggregator = make(rounds=1)
    train_round(aggregator)
    number = aggregator.round_number
    key = (TENSOR, number, False, ("model",), True, "one")
    aggregator.get_aggregated_tensor(*key)
    assert ("received", "two", 0, "train") in aggregator.gate.events
    assert ("round ended", 0) in aggregator.gate.events
    assert aggregator.gate.events[-1] == ("sending", "one", 1, TENSOR)


def test_a_site_that_has_approved_nothing_gets_nothing(make, monkeypatch):
    aggregator = make()
    monkeypatch.setattr(aggregator.gate, "has_approved", lambda site: False)
    with pytest.raises(Refused, match="show your approval"):
        aggregator.get_tasks("one")
    with pytest.raises(Refused, match="show your approval"):
        aggregator.get_aggregated_tensor(TENSOR, 0, False, ("model",), True, "one")
    with pytest.raises(Refused, match="show your approval"):
        send(aggregator, "one", "validation")
    aggregator.send_local_task_results("one", 0, "approval", 0, [])
    assert ("approved", "one") in aggregator.gate.events


def test_a_full_disk_ends_the_run_with_its_reason(make, monkeypatch):
    aggregator = make(rounds=3)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(aggregator, "save_persistent_db", full)
    with pytest.raises(sqlite3.OperationalError):
        send(aggregator, "one", "validation")
    assert [aggregator.get_tasks(site)[3] for site in SITES] == [True, True]
    with pytest.raises(RunFailed, match=r"what one sent cannot be kept: .* full. Make room"):
        aggregator.all_quit_jobs_sent()


ALTERED = Damaged("logs/audit.jsonl: its last line is not readable: it was altered.")


def altered(*_, **__) -> None:
    raise ALTERED


def test_a_damaged_log_of_the_aggregators_own_ends_the_run_with_its_reason(make, monkeypatch):
    aggregator = make(rounds=2)
    monkeypatch.setattr(module, "FAILURE_GRACE_S", 0.0)
    monkeypatch.setattr(aggregator.gate, "received", altered)
    monkeypatch.setattr(aggregator.gate, "log", altered)
    with pytest.raises(Damaged):
        send(aggregator, "one", "validation")
    assert aggregator.get_tasks("two")[3]  # the other site is sent home
    with pytest.raises(RunFailed, match=r"^Round 0: logs/audit.jsonl: .* altered"):
        aggregator.all_quit_jobs_sent()


@pytest.mark.parametrize("door", ["check", "sending", "revoked", "round_ended"])
def test_wherever_the_damage_shows_the_run_ends(make, monkeypatch, door):
    aggregator = make(rounds=2)
    monkeypatch.setattr(module, "FAILURE_GRACE_S", 0.0)
    monkeypatch.setattr(aggregator.gate, door, altered)
    with suppress(Damaged):
        aggregator.valid_collaborator_cn_and_id("one", "one")
        aggregator.get_aggregated_tensor(TENSOR, 0, False, ("model",), True, "one")
        train_round(aggregator)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(RunFailed, match="altered"):
        aggregator.all_quit_jobs_sent()


def test_a_log_that_was_damaged_at_the_very_end_is_told_to_the_operator(make, monkeypatch):
    aggregator = make(rounds=1)
    train_round(aggregator)
    validate_final(aggregator)
    monkeypatch.setattr(aggregator.gate, "log", altered)
    for site in SITES:
        aggregator.get_tasks(site)
    with pytest.raises(RunFailed, match="altered"):
        aggregator.all_quit_jobs_sent()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rounds", 0), ("idle_wait_s", 0), ("waiting_sites", 7), ("site_grace_s", -1)],
)
def test_settings_out_of_range_are_refused(make, name, value):
    with pytest.raises(SettingError, match=name):
        make(**{name: value})
