"""Admission: who may call, how much, how fast, how often; with a clock that stands still."""

import pytest

from src.errors import Busy, Refused, SettingError
from src.rounds import admission as module
from src.rounds.admission import Admission, Limits

LIMITS = Limits(most_bytes=1000, slowest_bytes_s=10.0, calls_per_minute=60.0)
COPY = "a copy"  # of a site: a second process, which is refused
MEMBERS = {"one.1": "one", "two.2": "two"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def asked():
    """Whom the gate was asked about."""
    return []


@pytest.fixture
def door(clock, asked):
    def identify(common_name, instance):
        asked.append((common_name, instance))
        if common_name not in MEMBERS or instance == COPY:
            raise Refused("Refused: no member.")
        return MEMBERS[common_name]

    return Admission(LIMITS, identify, clock)


def test_a_member_is_known_by_its_certificate_and_its_instance_is_passed_on(door, asked):
    assert door.caller("one.1", "a2f0") == "one"
    assert asked == [("one.1", "a2f0")]


def test_a_strangers_refusal_is_repeated_without_asking_for_a_second(door, asked, clock):
    with pytest.raises(Refused, match="no member"):
        door.caller("mallory.9", None)
    for _ in range(50):
        with pytest.raises(Refused, match="no member"):
            door.refuse_again("mallory.9", None)
    assert len(asked) == 1
    door.refuse_again("one.1", None)  # a member is asked about at every call
    clock.now += module.REFUSED_S
    door.refuse_again("mallory.9", None)


def test_one_process_of_a_site_is_not_told_what_another_was_refused_for(door):
    with pytest.raises(Refused):
        door.caller("two.2", COPY)
    door.refuse_again("two.2", "its first process")
    with pytest.raises(Refused):
        door.refuse_again("two.2", COPY)


def test_refusals_of_ever_new_names_do_not_fill_the_memory(door):
    for number in range(module.MOST_REFUSED + 50):
        with pytest.raises(Refused):
            door.caller(f"mallory.{number}", None)
    assert len(door._refused) == module.MOST_REFUSED


def test_a_message_longer_than_any_of_the_run_is_refused_while_it_comes(door):
    stream = door.stream()
    for _ in range(10):
        stream.took(100)
    with pytest.raises(Refused, match="more than 1000 bytes"):
        stream.took(1)


def test_a_request_has_no_room_for_a_model(door):
    request = door.stream(small=True)
    request.took(module.BESIDE_BYTES)
    with pytest.raises(Refused, match="more than 65536 bytes"):
        request.took(1)


def test_pieces_without_content_do_not_go_on_for_ever(door):
    stream = door.stream()
    for _ in range(1000 // module.LEAST_PIECE_BYTES):
        stream.took(0)
    with pytest.raises(Refused, match="more than 1000 bytes"):
        stream.took(0)


def test_a_stream_must_keep_up_with_the_floor_after_its_grace(door, clock):
    stream = door.stream()
    assert stream.seconds_left() == module.GRACE_S
    stream.took(500)  # which take 50 s at the floor
    clock.now += module.GRACE_S + 49
    assert stream.seconds_left() == pytest.approx(1.0)
    clock.now += 2
    assert stream.seconds_left() < 0
    assert "500 bytes in 71 s; this run expects 10 a second" in str(stream.too_slow())


def test_an_answer_may_take_as_long_as_its_bytes_at_the_floor(door):
    assert door.stream().seconds_left(300) == module.GRACE_S + 30


def test_one_site_cannot_have_calls_without_number_open(door):
    opened = [door.call("one") for _ in range(module.MOST_CALLS)]
    for call in opened:
        call.__enter__()
    with pytest.raises(Busy, match="16 calls of one are open"), door.call("one"):
        pass
    with door.call("two"):  # the others' calls are none of its business
        pass
    opened[0].__exit__(None, None, None)
    with door.call("one"):
        pass


def test_after_a_burst_a_sites_calls_wait_for_their_turn(door, clock):
    def wait_s() -> float:
        with door.call("one") as seconds:
            return seconds

    assert [wait_s() for _ in range(module.BURST)] == [0.0] * module.BURST
    assert wait_s() == pytest.approx(1.0)  # one a second in the long run
    assert wait_s() == pytest.approx(2.0)
    with door.call("two") as seconds:
        assert seconds == 0.0
    clock.now += 3
    assert wait_s() == 0.0


def test_a_newer_upload_of_a_site_ends_its_older_one_and_no_others(door):
    ended = []
    uploads = [
        door.upload(site, lambda name=name: ended.append(name))
        for site, name in (("one", "older"), ("two", "other"), ("one", "newer"))
    ]
    for upload in uploads:
        upload.__enter__()
    assert ended == ["older"]
    uploads[0].__exit__(None, None, None)  # its end does not make room for a third
    with door.upload("one", lambda: None):
        assert ended == ["older", "newer"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("most_bytes", 0), ("slowest_bytes_s", 0.0), ("calls_per_minute", -1.0)],
)
def test_settings_out_of_range_are_refused(setting, value):
    settings = {"most_bytes": 1, "slowest_bytes_s": 1.0, "calls_per_minute": 1.0}
    with pytest.raises(SettingError, match=setting):
        Limits(**settings | {setting: value})
