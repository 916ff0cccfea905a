"""The aggregator's gate for sealed uploads: what is added, what is refused, what survives."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from src.errors import MaskReused, PlanError, Refused, RunStopped, SettingError, WorkerRefused
from src.secure_aggregation import bfv, framing
from src.secure_aggregation.encrypted_sum import EncryptedSum, token
from src.secure_aggregation.site import EncryptingSite
from tests.oracles import kill, peak_bytes
from tests.secure_aggregation.sealing import (
    FOUR,
    THREE,
    Federation,
    bombs,
    bound_of,
    mean_of,
    models_of,
)


@pytest.fixture
def upload(three) -> bytes:
    three.open("one")
    return three.answer("one", models_of(three)["one"])


def stored(federation) -> list[str]:
    return sorted(p.name for p in (federation.folder / "aggregator").glob("uploads-0/*"))


def with_header(message: bytes, **changes) -> bytes:
    records = framing.records(message, count=1, most_bytes=1 << 20)
    return framing.pack(framing.header(message) | changes, records)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m[:-1], "damaged"),
        (lambda m: m + b"x", "damaged"),
        (lambda m: m[:2000], "damaged"),
        (lambda m: b"", "not a sealed upload"),
        (lambda m: b"PLN1" + bytes(4000), "not a sealed upload"),
        (lambda m: m + bytes(60_000), "at most"),
        (lambda m: with_header(m, round=1), "another round"),
        (lambda m: with_header(m, run="ff" * 16), "another run"),
        (lambda m: with_header(m, site="two"), "another site"),
        (lambda m: with_header(m, parameters="0"), "another parameters"),
        (lambda m: with_header(m, roster="00" * 32), "not for the roster"),
        (lambda m: with_header(m, kind="download"), "of kind"),
        (lambda m: with_header(m, announcement="{}"), "signed statement"),
        (lambda m: with_header(m, announcement=5), "another round"),
        (lambda m: with_header(m, nonce=framing.header(m)["nonce"].upper()), "digits 0-9 a-f"),
        (lambda m: with_header(m, nonce=None), "digits 0-9 a-f"),
        (lambda m: with_header(m, kind="announcement"), "damaged"),
        (lambda m: framing.pack(framing.header(m), [b"no ciphertext"]), "not a ciphertext"),
        (lambda m: framing.pack(framing.header(m), [bytes(33_000)]), "not a ciphertext"),
    ],
)
def test_what_is_not_exactly_this_rounds_upload_is_refused_and_not_kept(
    three, upload, change, reason
):
    with pytest.raises(Refused, match=reason):
        three.aggregator.take("one", 0, change(upload))
    assert stored(three) == []
    three.aggregator.take("one", 0, upload)  # and nothing has been added
    models = models_of(three)
    for name in ("two", "three"):
        three.open(name)
        three.aggregator.take(name, 0, three.answer(name, models[name]))
    assert three.aggregator.close(THREE) is None
    three.aggregator.advance()
    assert np.abs(three.open("one") - mean_of(three, models)).max() < bound_of(three)


def test_damaged_ciphertexts_are_noticed_before_they_are_added(three, upload):
    message = bytearray(upload)
    message[-1000] ^= 4
    with pytest.raises(Refused, match="damaged on the way"):
        three.aggregator.take("one", 0, bytes(message))


def test_an_identical_repeat_is_fine(three, upload):
    three.aggregator.take("one", 0, upload)
    three.aggregator.take("one", 0, upload)
    assert stored(three) == ["one"]


# -- a second update for one round: somebody has used masks twice ---------------------------------


def second(upload: bytes) -> bytes:
    """Another update of the same site and round."""
    return with_header(upload, extra=1)


def test_a_second_update_in_a_round_is_told_from_any_other_refusal(three, upload):
    three.aggregator.take("one", 0, upload)
    with pytest.raises(MaskReused, match="one has sent two different updates for round 0"):
        three.aggregator.take("one", 0, second(upload))
    assert stored(three) == ["one"]


@pytest.mark.parametrize("moment", ["closed", "next round", "restarted"])
def test_a_second_update_is_noticed_when_it_comes_late_too(three, upload, moment):
    aggregator = three.aggregator
    aggregator.take("one", 0, upload)
    for name in ("two", "three"):
        three.open(name)
        aggregator.take(name, 0, three.answer(name, models_of(three)[name]))
    aggregator.close(THREE)
    take = aggregator.take
    if moment != "closed":
        aggregator.advance()
        take = aggregator.take_late
    if moment == "restarted":
        aggregator.stop()
        three.aggregator = three.new_aggregator()
        three.aggregator.begin(1, resumed=True)
        take = three.aggregator.take_late
    take("one", 0, upload)  # the same bytes once more
    take("one", 0, b"nonsense") if moment != "closed" else None
    with pytest.raises(MaskReused, match="two different updates for round 0"):
        take("one", 0, second(upload))


def test_an_update_that_came_too_late_is_remembered_as_the_first(four):
    models = models_of(four)
    four.open("four")
    late = four.answer("four", models["four"])
    four.play(models, absent=("four",))
    four.aggregator.take_late("four", 0, late)
    four.aggregator.take_late("four", 0, late)
    with pytest.raises(MaskReused):
        four.aggregator.take_late("four", 0, second(late))


def test_a_run_in_which_a_mask_was_used_twice_is_not_resumed(three, upload):
    three.aggregator.take("one", 0, upload)
    with pytest.raises(MaskReused):
        three.aggregator.take("one", 0, second(upload))
    three.aggregator.stop()
    three.aggregator = three.new_aggregator()
    with pytest.raises(RunStopped, match="its masks were used twice"):
        three.aggregator.begin(0, resumed=True)


def test_what_is_damaged_or_no_update_is_no_second_update(three, upload):
    three.aggregator.take("one", 0, upload)
    for other in (upload[:-1] + b"x", with_header(upload, kind="download")):
        with pytest.raises(Refused) as refused:
            three.aggregator.take("one", 0, other)
        assert not isinstance(refused.value, MaskReused)
    assert stored(three) == ["one"]


def test_a_mere_announcement_after_an_update_changes_nothing(three, upload):
    """A site whose workspace was set back does not know that it has answered."""
    three.aggregator.take("one", 0, upload)
    three.aggregator.take("one", 0, three.sites["one"].announce_only())
    assert (three.folder / "aggregator" / "uploads-0" / "one").read_bytes() == upload


def test_an_update_after_an_announcement_is_refused(three, upload):
    three.aggregator.take("one", 0, three.sites["one"].announce_only())
    with pytest.raises(Refused, match="already, differently"):
        three.aggregator.take("one", 0, upload)


def test_a_copied_ciphertext_is_refused(three, upload):
    """A site that sends another's ciphertext as its own, under its own announcement."""
    three.aggregator.take("one", 0, upload)
    three.open("two")
    own = three.answer("two", models_of(three)["two"])
    copied = framing.records(upload, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    with pytest.raises(Refused, match="used before"):
        three.aggregator.take("two", 0, framing.pack(framing.header(own), copied))
    assert stored(three) == ["one"]


def test_a_zip_bomb_ends_in_a_refusal_and_the_adder_lives(three, upload):
    """Each unpacks to a gigabyte, and begins like a ciphertext of these parameters."""
    (fresh,) = framing.records(upload, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    (worker,) = three.aggregator.sum.adders._workers
    process = worker._running.process.pid
    before = peak_bytes(process)
    for name, bomb in bombs(bytes(fresh)).items():
        assert len(bomb) <= bfv.MOST_BYTES[bfv.FRESH], name  # so that it is unpacked at all
        with pytest.raises(Refused, match=r"not a ciphertext|expected 2 polynomials"):
            three.aggregator.take("one", 0, framing.pack(framing.header(upload), [bomb]))
    assert worker._running.process.pid == process
    assert peak_bytes(process) - before < 32e6
    three.aggregator.take("one", 0, upload)
    assert stored(three) == ["one"]


def test_the_bombs_are_some(upload):
    """What they are packed with, unpacked by somebody else."""
    (fresh,) = framing.records(upload, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    bomb = bombs(bytes(fresh), 1 << 26)["two polynomials of zeros, and more"]
    unpack = ["zstd", "-dc"]
    if shutil.which(unpack[0]) is None:
        pytest.skip("no zstd here")
    shown = subprocess.run(unpack, input=bomb[16:], capture_output=True, check=True).stdout
    assert len(shown) > 1 << 26


def test_a_killed_adder_is_started_again_and_the_sum_made_from_the_files(three):
    models = models_of(three)
    for name in three.sites:
        three.open(name)
        three.aggregator.take(name, 0, three.answer(name, models[name]))
        kill(three.aggregator.sum.adders._workers[0])
    assert three.aggregator.close(THREE) is None
    three.aggregator.advance()
    assert np.abs(three.open("one") - mean_of(three, models)).max() < bound_of(three)


@pytest.mark.parametrize("before", ["close", "advance"])
def test_an_aggregator_that_is_killed_goes_on_where_it_was(three, before):
    models = models_of(three)
    for name in three.sites:
        three.open(name)
        three.aggregator.take(name, 0, three.answer(name, models[name]))
    if before == "advance":
        three.aggregator.close(THREE)
    three.aggregator.stop()
    three.aggregator = three.new_aggregator()
    three.aggregator.begin(0, resumed=True)
    assert three.round == 0
    assert three.aggregator.close(THREE) is None
    three.aggregator.advance()
    assert three.round == 1
    assert np.abs(three.open("one") - mean_of(three, models)).max() < bound_of(three)
    third = three.new_aggregator()
    third.begin(1, resumed=True)
    assert third.model(1) == three.aggregator.model(1)
    with pytest.raises(RunStopped, match="is missing"):
        third.begin(2, resumed=True)
    third.stop()


def test_the_first_roster_waits_for_everybody_who_is_there(tmp_path):
    federation = Federation(tmp_path, FOUR)
    for name in ("one", "two", "three"):
        (announcement,) = federation.sites[name].introduction()
        assert federation.aggregator.lacks(name)  # also where `doctor` has shown an approval
        federation.aggregator.introduced(name, announcement)
        assert not federation.aggregator.lacks(name)
        assert not federation.aggregator.gather(FOUR)
    with pytest.raises(Refused, match="asked for"):
        federation.aggregator.model(0)
    assert federation.aggregator.gather(("one", "two", "three"))  # four is gone
    assert federation.aggregator.trained(FOUR) == ["one", "three", "two"]
    (late,) = federation.sites["four"].introduction()
    assert not federation.aggregator.lacks("four")
    federation.aggregator.introduced("four", late)  # changes nothing
    assert federation.aggregator.trained(FOUR) == ["one", "three", "two"]
    federation.close()


def test_a_report_brought_by_another_is_refused(tmp_path):
    federation = Federation(tmp_path, THREE)
    (announcement,) = federation.sites["one"].introduction()
    with pytest.raises(Refused, match="announcement of one"):
        federation.aggregator.introduced("two", announcement)
    with pytest.raises(Refused):
        federation.aggregator.introduced("two", b"\xff\x00")
    assert not federation.aggregator.gather(())
    federation.close()


def test_three_sites_without_one_cannot_go_on(three):
    with pytest.raises(RunStopped, match="Only 2 sites have announced"):
        three.play(models_of(three), absent=("two",))


def test_a_revoked_sites_report_is_not_taken(three, upload):
    three.aggregator.gate.revoked_sites.append("one")
    with pytest.raises(Refused, match="revoked"):
        three.aggregator.take("one", 0, upload)


@pytest.mark.parametrize("limit", ["max_void", "max_roster_changes"])
def test_more_void_rounds_or_changes_than_allowed_stop_the_run(tmp_path, limit):
    federation = Federation(tmp_path, FOUR, **{limit: 0})
    federation.gather()
    with pytest.raises(RunStopped, match=limit):
        federation.play(models_of(federation), absent=("four",))
    federation.close()


def test_older_rounds_leave_the_disk(three):
    three.play(models_of(three))
    left = sorted(path.name for path in (three.folder / "aggregator").iterdir())
    assert left == ["model-1.sealed", "round-1.json", "updates.jsonl", "uploads--1"]
    assert json.loads((three.folder / "aggregator" / "round-1.json").read_text())["sum"] == 0


def test_two_sites_cannot_encrypt_and_the_message_says_what_to_do(tmp_path):
    with pytest.raises(SettingError, match=r"need 3 to 93 sites.*plan/plain.yaml"):
        Federation(tmp_path, {"one": 1, "two": 1})


def test_the_rule_takes_tokens_and_nothing_that_could_be_read():
    tokens = [token(b"a"), token(b"b")]
    combined = EncryptedSum().combine(tokens, [1, 1])
    assert combined.shape == (32,)
    with pytest.raises(PlanError, match="expected a token"):
        EncryptedSum().combine([tokens[0], np.zeros(32, np.float32)], [1, 1])


def test_the_aggregator_holds_no_way_to_decrypt(three):
    assert not any(isinstance(value, EncryptingSite) for value in vars(three.aggregator).values())
    assert "key" not in vars(three.aggregator)
    with pytest.raises(WorkerRefused, match=r"No key was given"):
        three.aggregator.sum.adders._all("decrypt")
