"""The audit log shows what was altered, dropped or moved, and where two parties disagree."""

import hashlib
import json
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src import hash_chain
from src.errors import Damaged
from src.trust import audit
from src.trust.audit import AuditLog, cross_check, unsigned, verify
from src.trust.certificate import read_certificate, read_key


@pytest.fixture(scope="module")
def identity(ceremony_held):
    path = ceremony_held / "one/cert/client/col_one.crt"
    certificate = read_certificate(path)
    return read_key(path.with_suffix(".key"), certificate), certificate


@pytest.fixture
def log(tmp_path, clock, identity):
    log = AuditLog(tmp_path / "audit.jsonl", "one", clock)
    log.write("started", bundle="b")
    for number in range(2):
        log.write("sending", site="one", round=number, what="train", digest=f"{number}")
        log.sign(*identity, round=number)
    log.write("ended", how="over")
    return log


def good(log, identity) -> list[dict]:
    return verify(log.path, [identity[1]])


def test_a_log_that_nobody_touched_holds(log, identity):
    lines = good(log, identity)
    assert [line["event"] for line in lines] == [
        *("started", "sending", "round ended", "signed"),
        *("sending", "round ended", "signed", "ended"),
    ]
    assert unsigned(lines) == 1


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_altered_dropped_moved_or_doubled_line_is_found(log, identity, data):
    text = log.path.read_bytes()
    lines = text.splitlines(keepends=True)
    last = len(lines) - 1
    act = data.draw(st.sampled_from(["alter", "drop", "swap", "double"]))
    place = data.draw(st.integers(0, last - 1))  # the last line is the next test's
    if act == "alter":
        content = json.loads(lines[place])
        content["party"] = "mallory"
        lines[place] = json.dumps(content, sort_keys=True).encode() + b"\n"
    elif act == "drop":
        del lines[place]
    elif act == "swap":
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    else:
        lines.insert(place, lines[place])
    log.path.write_bytes(b"".join(lines))
    try:
        with pytest.raises(Damaged, match=r"line \d+"):
            good(log, identity)
    finally:
        log.path.write_bytes(text)


def rechained(lines: list[bytes]) -> bytes:
    """What an attacker without the key does: numbers and hashes made to fit again."""
    previous, out = hash_chain.START, []
    for number, data in enumerate(lines):
        line = json.loads(data) | {"n": number, "previous": previous}
        out.append(json.dumps(line, sort_keys=True).encode() + b"\n")
        previous = hashlib.sha256(out[-1]).hexdigest()
    return b"".join(out)


def test_a_chain_made_anew_without_the_key_is_found_by_its_signatures(log, identity):
    lines = log.path.read_bytes().splitlines(keepends=True)
    assert rechained(lines) == log.path.read_bytes()
    log.path.write_bytes(rechained(lines[1:]))
    with pytest.raises(Damaged, match="the signature is under another log"):
        good(log, identity)


def test_another_partys_signature_is_refused(log, ceremony_held):
    two = read_certificate(ceremony_held / "two/cert/client/col_two.crt")
    with pytest.raises(Damaged, match="which is not this party's"):
        verify(log.path, [two])


def test_a_line_torn_by_a_crash_is_cut_off_and_the_chain_goes_on(log, identity, clock):
    content = log.path.read_bytes()
    log.path.write_bytes(content[:-20])
    AuditLog(log.path, "one", clock).write("started", bundle="b")
    lines = good(log, identity)
    assert [line["event"] for line in lines[-2:]] == ["signed", "started"]


def test_threads_and_processes_do_not_break_the_chain(log, identity, clock):
    def write() -> None:
        other = AuditLog(log.path, "one", clock)
        for number in range(20):
            other.write("sending", site="one", round=number, what="x", digest="d")

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(good(log, identity)) == 8 + 80


def test_a_signature_stands_right_behind_what_it_signs(log, identity, clock):
    """Two threads write while a third signs, as a heartbeat's and a task's do at a round's end."""
    over = Event()

    def write() -> None:
        other = AuditLog(log.path, "one", clock)
        while not over.is_set():
            other.write("sending", site="one", round=2, what="x", digest="d")

    threads = [Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        log.sign(*identity, round=number)
    over.set()
    for thread in threads:
        thread.join()
    assert sum(line["event"] == "signed" for line in good(log, identity)) == 12


def test_lines_longer_than_a_block_are_chained(log, identity):
    log.write("refused", reason="x" * 200_000)
    log.write("ended", how="over")
    assert len(good(log, identity)) == 10


def test_no_log_is_not_a_good_log(tmp_path):
    with pytest.raises(Damaged, match="no such log"):
        verify(tmp_path / "audit.jsonl", [])


# -- two parties -------------------------------------------------------------------------------


def entry(event: str, digest: str, what: str = "train", number: int = 0, site: str = "one") -> dict:
    return {"event": event, "site": site, "round": number, "what": what, "digest": digest}


SITE = [entry("received", "m", "model"), entry("sending", "u"), entry("sent", "u")]
AGGREGATOR = [entry("sending", "m", "model"), entry("received", "u")]


def test_logs_that_tell_the_same_story_agree():
    assert cross_check(AGGREGATOR, SITE, "one") == []


def test_other_sites_lines_do_not_matter():
    assert cross_check([*AGGREGATOR, entry("received", "v", site="two")], SITE, "one") == []


def test_a_crash_between_sending_and_hearing_of_it_is_no_disagreement():
    assert cross_check(AGGREGATOR, SITE[:2], "one") == []
    assert cross_check(AGGREGATOR[:1], SITE[:2], "one") == []


def test_an_aggregator_that_received_something_else_is_found():
    lying = [AGGREGATOR[0], entry("received", "other")]
    found = cross_check(lying, SITE, "one")
    assert len(found) == 2  # what it says it received, and what it does not say
    assert found[0].startswith("the aggregator received from one train of round 0 (other")


def test_a_site_whose_log_was_cut_off_is_found():
    assert cross_check(AGGREGATOR, SITE[:1], "one")


def test_a_model_that_the_aggregator_gave_out_secretly_is_found():
    assert cross_check(AGGREGATOR[1:], SITE, "one")


def test_the_digest_of_a_message_depends_on_its_parts_and_their_order():
    digests = {audit.digest_of(blobs) for blobs in ([b"ab"], [b"a", b"b"], [b"b", b"a"], [b""])}
    assert len(digests) == 4
