"""The aggregator's side of a run, without any engine: who may speak, what is taken, what counts."""

import json

import numpy as np
import pytest

from src.errors import Damaged, MaskReused, PlanError, Refused, TakenOver
from src.model_vector import TENSOR
from src.rounds import tensor_bytes
from src.rounds.aggregator import AggregatorRounds, Answer
from src.rounds.encrypted_aggregator import EncryptedAggregatorRounds
from src.rounds.instances import spoken_by
from src.rounds.presence import Presence
from src.rounds.round_log import RoundLog
from src.rounds.schedule import Schedule
from src.secure_aggregation import framing
from src.secure_aggregation.encrypted_sum import token
from tests.open_gate import OpenGate
from tests.rounds.test_presence import Clock
from tests.secure_aggregation.sealing import THREE, models_of

SCHEDULE = Schedule.of(["validation", "train"], ["final_validation"], 2)
HALF = tensor_bytes.encode(np.array(0.5))
UPDATE = tensor_bytes.encode(np.zeros(4, np.float32))


def presence(needed: int = 3) -> Presence:
    return Presence(OpenGate(), THREE, needed, 60.0, Clock())


@pytest.fixture
def log(tmp_path):
    return RoundLog(tmp_path / "rounds.jsonl", resumed=False)


@pytest.fixture
def plain(log):
    found = presence()
    return AggregatorRounds(found.gate, found, SCHEDULE, log)


@pytest.fixture
def encrypted(three, log):
    """The aggregator of an encrypted federation whose first roster is closed."""
    found = presence()
    rounds = EncryptedAggregatorRounds(
        found.gate, found, SCHEDULE, log, three.aggregator, resumed=False
    )
    rounds._begun = True  # the fixture has begun it
    return rounds


def trained(content: bytes, site: str = "one", **about) -> Answer:
    about = {"round": 0, "task": "train", "metrics": [("loss", HALF)]} | about
    return Answer(site=site, models=[(TENSOR, content)], **about)


def sealed(three, name: str = "one") -> bytes:
    three.open(name)
    return three.answer(name, models_of(three)[name])


# -- in the clear -----------------------------------------------------------------------------


def test_a_call_under_another_name_is_no_sign_of_life(plain):
    plain.presence.clock.now += 61
    plain.check("one", "one")
    with pytest.raises(Refused):
        plain.check("two", "three")
    assert set(plain.presence.gone()) == {"two", "three"}


def test_a_site_that_has_approved_nothing_is_asked_to(plain, monkeypatch):
    plain.require_introduction("one")
    monkeypatch.setattr(plain.gate, "has_approved", lambda site: False)
    with pytest.raises(Refused, match="show your approval"):
        plain.require_introduction("one")


A, B = "a" * 32, "b" * 32


def test_two_processes_of_a_site_are_told_logged_once_and_no_sign_of_life(plain):
    plain.introduced("one", [b"signed", A.encode()])
    plain.introduced("one", [b"signed", B.encode()])
    plain.presence.clock.now += 61
    for _ in range(3):
        with pytest.raises(TakenOver, match="another process of this site"):
            plain.caller("one", A)
    assert "one" in plain.presence.gone()
    assert [e for e, *_ in plain.gate.events].count("two processes") == 1
    assert plain.caller("one", B) == "one"


def test_a_process_that_has_not_introduced_itself_is_asked_to(plain):
    plain.introduced("one", [b"signed", A.encode()])
    with spoken_by(A):
        plain.require_introduction("one")
    assert plain.caller("one", B) == "one"  # a restart: nobody has taken over from it
    with spoken_by(B), pytest.raises(Refused, match="show your approval"):
        plain.require_introduction("one")
    plain.introduced("one", [b"signed", B.encode()])
    with spoken_by(B):
        plain.require_introduction("one")
    assert "two processes" not in [e for e, *_ in plain.gate.events]


def test_what_comes_and_goes_is_logged_and_counted(plain, log):
    plain.received("two", 0, "train", [UPDATE, HALF])
    assert plain.sending("one", 0, 0, TENSOR, UPDATE) == UPDATE
    plain.ended(0, {}, None)
    assert plain.gate.events == [
        ("received", "two", 0, "train"),
        ("sending", "one", 0, TENSOR),
        ("round ended", 0),
    ]
    (line,) = map(json.loads, log.path.read_text().splitlines())
    assert (line["bytes_up"], line["bytes_down"]) == (len(UPDATE) + len(HALF), len(UPDATE))


def test_what_the_sites_told_is_their_cases_and_metrics_by_task(plain):
    plain.collect("one", "validation", 2, {"dice": 0.5})
    plain.collect("one", "train", 5, {"loss": 0.1})
    plain.collect("one", "train", 9, {"loss": 0.9})  # a repeat changes nothing
    plain.collect("two", "validation", 3, {"dice": 0.7})
    assert plain.told(["one"]) == {
        "one": {
            "validation_cases": 2,
            "train_cases": 5,
            "metrics": {"validation": {"dice": 0.5}, "train": {"loss": 0.1}},
        }
    }
    plain.ended(0, {}, None)
    assert plain.told(["one", "two"]) == {}


@pytest.mark.parametrize("metric", [b"nonsense", UPDATE], ids=["no tensor", "an array"])
def test_a_metric_that_is_no_number_is_refused_in_the_open_too(plain, metric):
    with pytest.raises(Refused, match="'loss' is no single number"):
        plain.admit(trained(UPDATE, metrics=[("loss", metric)]), 0, over=False)
    assert plain.admit(trained(UPDATE), 0, over=False) == [(TENSOR, UPDATE)]


def test_what_a_site_sent_before_it_was_revoked_does_not_count(plain):
    plain.gate.revoked_sites = ["two"]
    assert plain.still_counting(["one", "two", "three"]) == ["one", "three"]


def test_a_full_disk_does_not_hide_why_the_run_has_failed(plain, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(plain.gate, "log", full)
    assert plain.leave("A rule has failed.") == "A rule has failed."


def test_a_log_that_was_damaged_at_the_very_end_is_told(plain, monkeypatch):
    def altered(*_, **__):
        raise Damaged("logs/audit.jsonl was altered.")

    monkeypatch.setattr(plain.gate, "log", altered)
    assert plain.leave(None) == "logs/audit.jsonl was altered."


# -- encrypted --------------------------------------------------------------------------------


def test_the_engine_stores_a_token_and_the_update_goes_to_the_sum(encrypted, three):
    message = sealed(three)
    ((name, stored),) = encrypted.admit(trained(message), 0, over=False)
    assert name == TENSOR
    np.testing.assert_array_equal(tensor_bytes.decode(stored), token(message))
    assert three.aggregator.files.answer(0, "one").read_bytes() == message


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"round": 1}, "this is for round 1, the aggregator is in round 0"),
        ({"task": "final_validation"}, "was not asked for"),
        ({"task": "validation"}, "1 models in the answer"),
        ({"metrics": [("loss", UPDATE)]}, "'loss' is no single number"),
        ({"metrics": [(f"m{n}", HALF) for n in range(64)]}, "more than 64 tensors"),
    ],
)
def test_anything_but_what_was_asked_is_refused_before_it_is_kept(encrypted, three, about, reason):
    with pytest.raises(Refused, match=reason):
        encrypted.admit(trained(sealed(three), **about), 0, over=False)
    assert not three.aggregator.files.answer(0, "one").is_file()


def test_a_second_model_or_one_of_another_name_is_refused(encrypted, three):
    message = sealed(three)
    for models, reason in (
        ([(TENSOR, message), (TENSOR, message)], "2 models"),
        ([], "0 models"),
        ([("other", message)], "a model named 'other'"),
    ):
        with pytest.raises(Refused, match=reason):
            encrypted.admit(Answer("one", 0, "train", models, []), 0, over=False)


def test_an_answer_that_is_too_late_is_dropped(encrypted, three):
    assert encrypted.admit(trained(sealed(three)), 1, over=False) is None
    assert encrypted.admit(trained(b""), 0, over=True) is None


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_a_second_update_for_a_round_is_logged_as_masks_used_twice(encrypted, three, late):
    message = sealed(three)
    encrypted.admit(trained(message), 0, over=False)
    assert encrypted.admit(trained(message), int(late), over=False) is None or not late
    records = framing.records(message, count=1, most_bytes=1 << 20)
    second = framing.pack(framing.header(message) | {"extra": 1}, records)
    with pytest.raises(MaskReused):
        encrypted.admit(trained(second), int(late), over=False)
    event, about = encrypted.gate.events[-1]
    assert (event, about["site"], about["round"]) == ("mask reused", "one", 0)
    assert "two different updates" in about["reason"]


def test_a_site_that_only_announced_does_not_count_in_the_round(encrypted, three, log):
    for name in THREE:
        encrypted.admit(trained(sealed(three, name), name), 0, over=False)
    void, counting = encrypted.close(0, sorted(THREE))
    assert (void, counting) == (None, sorted(THREE))
    encrypted.ended(0, {}, void)
    assert encrypted.final_model(1) == three.aggregator.model(1)
    with pytest.raises(Refused, match="round 0 is not open"):
        encrypted.sending("one", 1, 0, TENSOR, b"")


def test_a_site_of_the_roster_whose_update_was_lost_does_not_count(encrypted, three):
    """Its metrics of the training would be missing: OpenFL cannot average nothing."""
    three.open("one")
    encrypted.admit(trained(three.sites["one"].announce_only()), 0, over=False)
    for name in ("two", "three"):
        encrypted.admit(trained(sealed(three, name), name), 0, over=False)
    assert encrypted.close(0, sorted(THREE)) == ("no update from one", ["three", "two"])


def test_where_every_update_was_lost_all_that_announced_end_the_round(encrypted, three):
    for name in THREE:
        three.open(name)
        message = three.sites[name].announce_only()
        encrypted.admit(trained(message, name, metrics=[]), 0, over=False)
    void, counting = encrypted.close(0, sorted(THREE))
    assert (void, counting) == ("no update from one, three, two", sorted(THREE))


def test_no_numbers_of_cases_are_told_of_an_encrypted_run(encrypted):
    encrypted.collect("one", "train", 5, {"loss": 0.1})
    assert encrypted.told(["one"]) == {"one": {"metrics": {"train": {"loss": 0.1}}}}


def test_the_round_after_the_last_training_has_no_sum(encrypted):
    assert encrypted.close(2, ["one"]) == (None, ["one"])


def test_fewer_sites_than_encryption_needs_are_refused(three, log):
    found = presence(needed=2)
    with pytest.raises(PlanError, match=r"with 2 sites, encrypted rounds need 3"):
        EncryptedAggregatorRounds(found.gate, found, SCHEDULE, log, three.aggregator, resumed=False)
