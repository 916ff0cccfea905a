"""The round log counts a round's bytes and forgets them with the next."""

import json

from src.rounds.round_log import RoundLog


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_bytes_belong_to_their_round_and_sites_are_sorted(tmp_path):
    log = RoundLog(tmp_path / "logs" / "rounds.jsonl", resumed=False)
    log.begin()
    log.sent(10)
    log.received(3)
    log.received(4)
    log.end(0, {"two": {}, "one": {}})
    log.begin()
    log.sent(1)
    log.end(1, {})
    first, second = lines(log.path)
    assert (first["round"], first["bytes_up"], first["bytes_down"]) == (0, 7, 10)
    assert list(first["sites"]) == ["one", "two"]
    assert (second["bytes_up"], second["bytes_down"]) == (0, 1)
    assert first["seconds"] >= 0


def test_a_round_that_nobody_began_has_no_duration(tmp_path):
    log = RoundLog(tmp_path / "rounds.jsonl", resumed=False)
    log.end(0, {})
    assert lines(log.path)[0]["seconds"] is None


def test_a_new_run_begins_with_an_empty_log_and_a_resumed_one_goes_on(tmp_path):
    path = tmp_path / "rounds.jsonl"
    RoundLog(path, resumed=False).end(0, {})
    RoundLog(path, resumed=True).end(1, {})
    assert [line["round"] for line in lines(path)] == [0, 1]
    RoundLog(path, resumed=False)
    assert lines(path) == []
