"""A site's side of a run, without any engine: what it trains, repeats, announces and logs."""

import numpy as np
import pytest

from src.errors import Refused
from src.refusal import TAKEN_OVER
from src.rounds.site import EncryptedSiteRounds, SiteRounds
from tests.open_gate import OpenSiteGate
from tests.secure_aggregation.sealing import FOUR, THREE, Federation, models_of


class SpentBudget:
    """A budget of privacy with nothing left."""

    when_spent = "leave"

    def pays(self):
        return False

    def after(self, round_number):
        return ""


@pytest.fixture
def plain():
    return SiteRounds(OpenSiteGate())


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path, FOUR, min_sites=3)
    yield federation
    federation.close()


def rounds_of(federation: Federation, name: str = "one") -> EncryptedSiteRounds:
    return EncryptedSiteRounds(OpenSiteGate(name), federation.sites[name])


def answer_of(federation: Federation, name: str = "one"):
    return rounds_of(federation, name).answer(lambda: federation.open(name))


def sealed_answer(federation: Federation, name: str = "one") -> bytes:
    """What the site sends in the open round, kept as its process would keep it."""
    rounds = rounds_of(federation, name)
    assert rounds.answer(lambda: federation.open(name)).what == "train"
    message = rounds.encrypting.seal(models_of(federation)[name], federation.cases[name])
    rounds.keep(lambda: message)
    return message


# -- in the clear ---------------------------------------------------------------------------


def test_a_plain_round_is_trained_each_time_it_is_asked_for(plain):
    assert [plain.answer(lambda: None).what for _ in range(2)] == ["train", "train"]


def test_a_plain_site_tells_its_cases_and_keeps_no_message(plain):
    assert plain.cases(7) == 7
    plain.keep(lambda: pytest.fail("nobody needs these bytes"))


def test_a_round_ends_when_the_next_brings_work(plain):
    plain.told(0, work=True, over=False)
    plain.told(0, work=False, over=False)  # the others are not ready yet
    plain.told(1, work=False, over=False)
    assert plain.gate.events == []
    plain.told(1, work=True, over=False)
    assert plain.gate.events == [("round ended", 0)]


def test_the_last_round_ends_with_the_run(plain):
    plain.told(3, work=True, over=False)
    plain.told(0, work=False, over=True)
    assert plain.gate.events == [("round ended", 3)]


def test_what_is_sent_is_logged_before_and_after(plain):
    with plain.sending(3, "train", [b"weights"]):
        assert plain.gate.events == [("sending", 3, "train")]
    about = {"digest": "digest", "site": "one", "round": 3, "what": "train"}
    assert plain.gate.events[1] == ("sent", about)


def test_what_did_not_arrive_is_not_logged_as_sent(plain):
    with pytest.raises(ConnectionError), plain.sending(3, "train", [b"weights"]):
        raise ConnectionError("nobody there")
    assert [event for event, *_ in plain.gate.events] == ["sending"]


def test_a_refusal_ends_the_process_and_stands_in_the_log(plain):
    with pytest.raises(SystemExit) as ended, plain.to_the_end():
        raise Refused("revoked")
    assert ended.value.code == 77
    assert plain.gate.events == [("ended", {"how": "Refused: revoked"})]


def test_each_process_of_a_site_has_an_instance_of_its_own():
    assert len({SiteRounds(OpenSiteGate()).instance for _ in range(20)}) == 20


def test_a_refusal_because_another_process_took_over_is_logged_by_its_kind(plain):
    plain.refused("revoked")
    plain.refused(f"{TAKEN_OVER} bb… has taken over from aa….")
    assert [event for event, _ in plain.gate.events] == ["refused", "two processes"]


def test_a_run_that_is_over_is_logged_so(plain):
    with plain.to_the_end():
        pass
    assert plain.gate.events == [("ended", {"how": "the run is over"})]


# -- encrypted ------------------------------------------------------------------------------


def test_a_site_shows_its_approval_and_its_first_announcement(federation):
    rounds = rounds_of(federation)
    approval, instance, announcement = rounds.introduction()
    assert (approval, instance.decode()) == (b"signed", rounds.instance)
    federation.aggregator.introduced("one", announcement)


def test_after_round_zero_only_the_approval_is_shown(federation):
    federation.gather()
    federation.open("one")
    rounds = rounds_of(federation)
    assert rounds.introduction() == [b"signed", rounds.instance.encode()]


def test_a_round_that_was_answered_is_answered_with_the_same_bytes(federation):
    federation.gather()
    message = sealed_answer(federation)
    federation.restart("one")
    again = answer_of(federation)
    assert (again.what, again.message) == ("send again", message)


def test_a_site_outside_the_roster_only_announces_and_is_in_the_next(federation):
    federation.gather("four")
    models = models_of(federation)
    answers = {name: answer_of(federation, name) for name in FOUR}
    assert {name for name, answer in answers.items() if answer.what == "train"} == set(THREE)
    assert answers["four"].what == "announce only"
    federation.aggregator.take("four", 0, answers["four"].message)
    for name in THREE:
        federation.aggregator.take(name, 0, federation.answer(name, models[name]))
    assert federation.aggregator.close(FOUR) is None
    federation.aggregator.advance()
    assert answer_of(federation, "four").what == "train"


def test_a_site_whose_budget_is_spent_sends_no_update(federation):
    federation.gather()
    federation.sites["one"].budgets.append(SpentBudget())
    assert answer_of(federation).what == "announce only"


def test_the_model_is_opened_before_anything_is_decided(federation):
    federation.gather()
    with pytest.raises(Refused, match="no opened round"):
        rounds_of(federation).answer(lambda: None)


def test_a_model_of_another_round_than_asked_is_refused(federation):
    federation.gather()
    rounds_of(federation).expect(1)
    with pytest.raises(Refused, match="of round 0, asked was 1"):
        federation.open("one")


def test_an_encrypted_site_tells_no_number_of_cases(federation):
    assert {rounds_of(federation).cases(number) for number in (0, 3, 500)} == {1}


def test_an_answered_round_keeps_no_second_message(federation):
    federation.gather()
    message = sealed_answer(federation)
    with pytest.raises(Refused, match="was answered already"):
        rounds_of(federation).keep(lambda: message + b"!")
    np.testing.assert_equal(federation.sites["one"].kept(), message)
