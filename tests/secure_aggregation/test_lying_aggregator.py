"""An aggregator that shows different sites different things: rosters, models, outcomes.

It holds what the test gives it: nothing, the stolen key of sums, or all keys of an accomplice.
"""

import base64
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from src.errors import Refused
from src.secure_aggregation import announcements, bfv, framing, site
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.settings import PAYLOAD
from tests.oracles import uniformity
from tests.secure_aggregation.sealing import FOUR, THREE, models_of

T = bfv.plain_modulus()


def summed(messages: list[bytes]) -> bytes:
    """The sum of uploads of one ciphertext each, saved: what needs no key."""
    adder = bfv.Adder()
    total = None
    for message in messages:
        (record,) = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
        fresh = adder.load(record, bfv.FRESH)
        if total is None:
            total = fresh
        else:
            adder.add(total, fresh)
    return adder.save(total)


def read_with_key(federation, total: bytes) -> np.ndarray:
    """What the holder of the stolen key of sums sees."""
    cipher = bfv.Cipher(federation.keys.he)
    return cipher.decrypt(cipher.load(total, bfv.SUM))


def with_roster(message: bytes, round_number: int, texts: list[str]) -> bytes:
    header = framing.header(message)
    header["rosters"][str(round_number)] = texts
    return framing.pack(header)


# -- two rosters ----------------------------------------------------------------------------------


def test_two_rosters_in_one_round_give_no_sum_that_anybody_can_read_or_takes(four):
    """One is shown a roster without four, the others the whole one."""
    models = models_of(four)
    honest = four.aggregator.model(0)
    whole = four.aggregator.state.rosters["0"]
    small = [text for text in whole if announcements.read(four.gate(), text, 0).site != "four"]
    sent = {}
    for name in FOUR:
        shown = with_roster(honest, 0, small) if name == "one" else honest
        four.sites[name].open(shown)
        assert four.sites[name].takes_part
        sent[name] = four.answer(name, models[name])
    for size in range(1, 5):
        for names in combinations(sent, size):
            total = summed([sent[name] for name in names])
            assert uniformity(read_with_key(four, total)) > 1e-6, names
    following = [framing.header(message)["announcement"] for message in sent.values()]
    for name, roster in (("one", small), ("two", whole), ("three", small), ("four", whole)):
        members = [announcements.read(four.gate(), text, 0).site for text in roster]
        header = framing.header(honest) | {"round": 1, "sum": 0}
        header["rosters"] = {"0": roster, "1": following}
        header["nonces"] = {member: framing.header(sent[member])["nonce"] for member in members}
        total = summed([sent[member] for member in members])
        with pytest.raises(Refused, match=r"macs are wrong|another model, or after other rounds"):
            four.sites[name].open(framing.pack(header, [total]))


def test_the_same_sum_over_one_roster_is_taken_so_the_refusals_mean_something(four):
    models = models_of(four)
    sent = {}
    for name in FOUR:
        four.open(name)
        sent[name] = four.answer(name, models[name])
    total = summed(list(sent.values()))
    assert uniformity(read_with_key(four, total)) < 1e-12  # the masks are gone
    header = framing.header(four.aggregator.model(0)) | {"round": 1, "sum": 0}
    header["rosters"]["1"] = [framing.header(message)["announcement"] for message in sent.values()]
    header["nonces"] = {name: framing.header(message)["nonce"] for name, message in sent.items()}
    assert four.sites["one"].open(framing.pack(header, [total])).shape == (20,)


# -- two models: only who holds all keys of a site can make a sum ----------------------------------


def forged(federation, message: bytes) -> bytes:
    """The same download with another model in it, and macs that fit: an accomplice's work."""
    header = framing.header(message)
    (record,) = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.SUM])
    slots = read_with_key(federation, bytes(record))[np.newaxis, :]
    payload = slots[:, :PAYLOAD].copy()
    payload[0, 512] = (payload[0, 512] + np.uint64(1000)) % np.uint64(T)  # behind the header
    gate, number = federation.gate(), header["sum"]
    roster = announcements.roster(gate, header["rosters"][str(number)], number, 3, in_force=False)
    following = announcements.roster(gate, header["rosters"][str(number + 1)], number + 1, 3)
    tagger = Mac(federation.keys.mac, PAYLOAD, T)
    nonces = {
        announcement.certificate: bytes.fromhex(header["nonces"][announcement.site])
        for announcement in roster.announcements
    }
    macs = tagger.macs(payload, announcements.salt(following.transcript, roster), nonces)
    cipher = bfv.Cipher(federation.keys.he)
    return framing.pack(header, [cipher.encrypt(np.column_stack([payload, macs])[0])])


def test_two_models_are_noticed_after_one_round_in_which_no_update_can_be_read(three):
    models = models_of(three)
    three.play(models)
    honest = three.aggregator.model(1)
    other = three.sites["one"].open(forged(three, honest))
    for name in ("two", "three"):
        assert (three.sites[name].open(honest) != other).any()
    sent = {name: three.answer(name, models[name]) for name in THREE}
    for size in (1, 2, 3):
        for names in combinations(sent, size):
            total = summed([sent[name] for name in names])
            assert uniformity(read_with_key(three, total)) > 1e-6, names
    for name, message in sent.items():
        three.aggregator.take(name, 1, message)
    three.aggregator.close(THREE)
    three.aggregator.advance()
    for member in three.sites.values():
        with pytest.raises(Refused, match="The federation has been split"):
            member.open(three.aggregator.model(2))


def test_a_forged_final_model_is_refused_by_who_has_seen_the_real_one(three):
    three.play(models_of(three))
    honest = three.aggregator.model(1)
    three.sites["one"].open(honest)
    with pytest.raises(Refused, match="The federation has been split"):
        three.sites["one"].open(forged(three, honest))
    three.restart("one")
    with pytest.raises(Refused, match="The federation has been split"):
        three.sites["one"].open(forged(three, honest))


# -- what masks and macs are bound to --------------------------------------------------------------


def claiming(
    announcement: announcements.Announcement, **claims: object
) -> announcements.Announcement:
    """The announcement with other claims, everything else as it was."""
    envelope = json.loads(announcement.text)
    statement = json.loads(base64.b64decode(envelope["payload"])) | claims
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    envelope["payload"] = base64.b64encode(payload).decode()
    return replace(announcement, text=json.dumps(envelope, indent=1))


def test_a_report_that_claims_the_same_is_the_same(three):
    (announcement, *_) = announcements.roster(
        three.gate(), three.aggregator.state.rosters["0"], 0, 3
    ).announcements
    assert claiming(announcement) == announcement


CLAIMS = {"round": {"round": 1}, "run": {"run": "ff" * 16}, "bundle": {"bundle": "ff" * 32}}


@pytest.mark.parametrize("what", ["nothing", "starting model", "roster", *CLAIMS])
def test_another_round_run_roster_bundle_or_starting_model_at_one_site_spoils_the_sum(
    three, monkeypatch, what
):
    models = models_of(three)
    real, sent = announcements.salt, {}

    def salt_elsewhere(transcript: bytes, roster: announcements.Roster) -> bytes:
        found = roster.announcements
        if what == "roster":
            found = found[:-1]
        elif what in CLAIMS:
            found = tuple(claiming(announcement, **CLAIMS[what]) for announcement in found)
        if what == "starting model":
            transcript = b"another".ljust(32)
        return real(transcript, replace(roster, announcements=found))

    for name in THREE:
        three.open(name)
        with monkeypatch.context() as patch:
            if name == "three":
                patch.setattr(site.announcements, "salt", salt_elsewhere)
            sent[name] = three.answer(name, models[name])
        three.aggregator.take(name, 0, sent[name])
    readable = uniformity(read_with_key(three, summed(list(sent.values())))) < 1e-6
    assert readable == (what == "nothing")
    three.aggregator.close(THREE)
    three.aggregator.advance()
    if what == "nothing":
        assert three.open("one").shape == (20,)
    else:
        with pytest.raises(Refused, match="macs are wrong"):
            three.open("one")
