"""A site in encrypted rounds: exact means, and every way in which others may try to fool it."""

import base64
import hashlib
import json
import shutil

import numpy as np
import pytest

from scripts.local.one_process import SigningGate
from src.errors import Damaged, Refused
from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.fixed_point import to_signed
from src.secure_aggregation.keys import SumKeys
from src.secure_aggregation.settings import PAYLOAD, Encryption
from src.secure_aggregation.site_state import FILE
from tests.oracles import T, slots_seen, uniformity, unmasked
from tests.secure_aggregation.sealing import FOUR, THREE, Federation, bound_of, mean_of, models_of

# -- the sum ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [24, 16])
def test_the_model_is_the_weighted_mean_of_the_quantised_models_bit_for_bit(tmp_path, bits):
    federation = Federation(tmp_path, THREE, bits=bits)
    federation.gather()
    models = models_of(federation)
    integers = []
    for name in federation.sites:
        np.testing.assert_array_equal(federation.open(name), federation.initial)
        message = federation.answer(name, models[name])
        integers.append(to_signed(unmasked(federation, name, message), T)[0, :PAYLOAD])
        federation.aggregator.take(name, 0, message)
    assert federation.aggregator.close(THREE) is None
    federation.aggregator.advance()
    found = [federation.open(name) for name in federation.sites]
    assert all((model == found[0]).all() for model in found)

    fixed = federation.sites["one"].fixed
    exact = fixed.decode(np.sum(integers, axis=0)[: fixed.slots], 3, 30)
    assert exact.count == sum(THREE.values())
    np.testing.assert_array_equal(found[0], exact.mean())
    assert np.abs(found[0] - mean_of(federation, models)).max() < bound_of(federation)
    federation.close()


def test_who_holds_the_encryption_key_sees_uniform_slots_in_a_single_update(three):
    models = models_of(three)
    three.open("one")
    message = three.answer("one", models["one"])
    assert uniformity(slots_seen(three, message).ravel()) > 1e-4
    # and would see the update if there were no masks
    assert uniformity(unmasked(three, "one", message).ravel()) < 1e-12


def test_the_aggregator_is_told_no_case_number_and_no_scale(three):
    three.open("one")
    header = framing.header(three.answer("one", models_of(three)["one"]))
    told = {"kind", "run", "round", "site", "parameters", "roster", "announcement", "records"}
    assert set(header) == told | {"nonce"}


# -- six ways of tampering with a sum -----------------------------------------------------------


def tampered(federation, change) -> bytes:
    """The download after a round, with its one ciphertext made from the uploads by `change`."""
    models = models_of(federation)
    adder = bfv.Adder()
    uploads = {}
    for name in federation.sites:
        federation.open(name)
        message = federation.answer(name, models[name])
        federation.aggregator.take(name, 0, message)
        (record,) = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
        uploads[name] = adder.load(record, bfv.FRESH)
    federation.aggregator.close(federation.sites)
    federation.aggregator.advance()
    total = change(adder, uploads)
    return framing.pack(framing.header(federation.aggregator.model(1)), [adder.save(total)])


def omit(adder, uploads):
    total = uploads["one"]
    adder.add(total, uploads["two"])
    return total


def double(adder, uploads):
    total = omit(adder, uploads)
    adder.add(total, uploads["three"])
    adder.add(total, uploads["three"])
    return total


def plus_one(adder, uploads):
    import tenseal.sealapi as seal

    total = omit(adder, uploads)
    adder.add(total, uploads["three"])
    plain = seal.Plaintext()
    seal.BatchEncoder(bfv.context()).encode([1] + [0] * (bfv.N - 1), plain)
    adder._evaluator.add_plain_inplace(total, plain)
    return total


def single(adder, uploads):
    return uploads["one"]


@pytest.mark.parametrize("change", [omit, double, plus_one, single])
def test_a_changed_sum_is_refused_for_good(three, change):
    message = tampered(three, change)
    site = three.sites["one"]
    with pytest.raises(Refused, match="The aggregator or a site has changed it"):
        site.open(message)
    honest = three.aggregator.model(1)
    with pytest.raises(Refused, match="final for the run"):
        site.open(honest)  # not even the right one afterwards: no second try
    site.close()
    with pytest.raises(Refused, match="final for the run"):
        three.site("one")


def test_a_download_damaged_on_a_disk_is_not_taken_for_a_changed_sum(three):
    three.play(models_of(three))
    honest = three.aggregator.model(1)
    damaged = bytearray(honest)
    damaged[-1000] ^= 255
    site = three.sites["one"]
    with pytest.raises(Refused, match="damaged on the way"):
        site.open(bytes(damaged))
    assert site.open(honest).shape == (20,)  # nothing was decrypted, nothing is final


def test_the_untampered_sum_passes_the_same_way(three):
    def honest(adder, uploads):
        total = omit(adder, uploads)
        adder.add(total, uploads["three"])
        return total

    assert three.sites["one"].open(tampered(three, honest)).shape == (20,)


def test_a_replayed_sum_of_an_earlier_round_is_refused(three):
    models = models_of(three)
    three.play(models)
    first = three.aggregator.model(1)
    three.play(models)
    second = three.aggregator.model(2)
    old = framing.records(first, count=1, most_bytes=bfv.MOST_BYTES[bfv.SUM])
    with pytest.raises(Refused, match="macs are wrong"):
        three.sites["one"].open(framing.pack(framing.header(second), old))
    three.open("two")
    with pytest.raises(Refused, match="answers no older round"):
        three.sites["two"].open(first)


def test_a_ciphertext_of_another_run_is_refused(three, tmp_path):
    models = models_of(three)
    other = Federation(tmp_path / "other", THREE)
    other.keys = three.keys
    for name in other.cases:
        other.sites[name] = other.site(name, keys=three.keys)
    other.gather()
    other.play(models)
    three.play(models)
    foreign = framing.records(
        other.aggregator.model(1), count=1, most_bytes=bfv.MOST_BYTES[bfv.SUM]
    )
    with pytest.raises(Refused, match="macs are wrong"):
        three.sites["one"].open(framing.pack(framing.header(three.aggregator.model(1)), foreign))
    other.close()


def test_swapped_chunks_are_refused(tmp_path):
    federation = Federation(tmp_path, THREE, size=20_000)  # three ciphertexts
    federation.gather()
    federation.play(models_of(federation))
    message = federation.aggregator.model(1)
    a, b, c = framing.records(message, count=3, most_bytes=bfv.MOST_BYTES[bfv.SUM])
    assert federation.sites["two"].open(message).shape == (20_000,)
    with pytest.raises(Refused, match="2 of 3 macs are wrong"):
        federation.sites["one"].open(framing.pack(framing.header(message), [a, c, b]))
    federation.close()


def with_nonces(message: bytes, change) -> bytes:
    """A download in which other nonces of the sum's updates stand."""
    header = framing.header(message)
    records = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.SUM])
    return framing.pack(header | {"nonces": change(header["nonces"])}, records)


def test_other_nonces_than_the_updates_had_make_a_sum_that_is_refused(three):
    three.play(models_of(three))
    honest = three.aggregator.model(1)

    def swapped(nonces):
        return nonces | {"one": nonces["two"], "two": nonces["one"]}

    with pytest.raises(Refused, match="macs are wrong"):
        three.sites["one"].open(with_nonces(honest, swapped))
    assert three.sites["two"].open(honest).shape == (20,)


@pytest.mark.parametrize(
    "change",
    [
        lambda message: message[:-100],
        lambda message: message + b"x",
        lambda message: framing.pack(framing.header(message), [b"garbage"]),
        lambda message: framing.pack({"kind": "download"}),
        lambda message: b"PLN1 and so on",
        lambda message: framing.pack(framing.header(message) | {"parameters": "0" * 64}),
        lambda message: framing.pack(framing.header(message) | {"run": "ff" * 16}),
        lambda message: framing.pack(framing.header(message) | {"rosters": {}}),
        lambda message: framing.pack(framing.header(message) | {"round": 7}),
        lambda message: framing.pack(framing.header(message) | {"sum": None}, [b"left over"]),
        lambda message: with_nonces(message, lambda nonces: {}),
        lambda message: with_nonces(message, lambda nonces: nonces | {"four": "00" * 16}),
        lambda message: with_nonces(message, lambda nonces: nonces | {"one": "00" * 15}),
        lambda message: with_nonces(message, lambda nonces: nonces | {"one": "AB" * 16}),
        lambda message: with_nonces(message, list),
        lambda message: framing.pack(framing.header(message) | {"rosters": {"0": 5, "1": 6}}),
    ],
)
def test_damaged_downloads_are_refused_and_change_nothing(three, change):
    three.play(models_of(three))
    site = three.sites["one"]
    with pytest.raises(Refused):
        site.open(change(three.aggregator.model(1)))
    assert site.open(three.aggregator.model(1)).shape == (20,)


def test_a_sum_with_the_wrong_number_of_polynomials_is_refused(three):
    models = models_of(three)
    three.open("one")
    fresh = framing.records(
        three.answer("one", models["one"]), count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH]
    )
    for name in ("two", "three"):
        three.open(name)
        three.aggregator.take(name, 0, three.answer(name, models[name]))
    three.aggregator.take("one", 0, three.sites["one"].kept())
    three.aggregator.close(THREE)
    three.aggregator.advance()
    truncated = [fresh[0][: len(fresh[0]) // 2]]
    with pytest.raises(Refused, match="damaged"):
        three.sites["one"].open(framing.pack(framing.header(three.aggregator.model(1)), truncated))


# -- masks and macs are bound to round, run, roster, bundle and starting model --------------------


@pytest.mark.parametrize("what", ["initial model", "mac key", "encryption key"])
def test_a_site_that_started_elsewhere_spoils_the_round_and_is_noticed(tmp_path, what):
    federation = Federation(tmp_path, THREE)
    strange = SumKeys.new()
    keys = {
        "mac key": SumKeys(federation.keys.he, strange.mac),
        "encryption key": SumKeys(strange.he, federation.keys.mac),
    }.get(what)
    if keys:
        federation.sites["three"].close()
        federation.sites["three"] = federation.site("three", keys=keys)
    else:
        federation.sites["three"].verification.beginning = b"another".ljust(32)
    models = models_of(federation)
    if what == "initial model":
        federation.gather()
        with pytest.raises(Refused, match="split"):
            federation.play(models)
    else:
        federation.gather()
        federation.play(models)
        with pytest.raises(Refused, match="macs are wrong"):
            federation.open("one")
    federation.close()


def test_two_models_shown_to_two_sites_make_the_round_fail(three):
    """The aggregator knows nothing of the keys, so it can only withhold: void to one, a sum to
    the others. Their masks and macs of the next round then do not fit."""
    models = models_of(three)
    three.play(models)
    honest = three.aggregator.model(1)
    withheld = framing.pack(framing.header(honest) | {"sum": None, "nonces": {}})
    three.sites["one"].open(withheld)
    three.sites["two"].open(honest)
    three.sites["three"].open(honest)
    transcripts = {site.opened.transcript for site in three.sites.values()}
    assert len(transcripts) == 2
    for name in three.sites:
        three.aggregator.take(name, 1, three.answer(name, models[name]))
    three.aggregator.close(THREE)
    three.aggregator.advance()
    for site in three.sites.values():
        with pytest.raises(Refused, match=r"split|macs are wrong"):
            site.open(three.aggregator.model(2))


# -- rosters ------------------------------------------------------------------------------------


def rewritten(federation, change) -> bytes:
    """The open round's download with another roster in it."""
    header = framing.header(federation.aggregator.model(federation.round))
    texts = header["rosters"][str(federation.round)]
    header["rosters"][str(federation.round)] = change(texts)
    return framing.pack(header)


def forged(federation, name: str, key: str, **claims) -> str:
    """An announcement with other claims, signed by `key`'s site."""
    statement = {
        "run": federation.gate().members.run,
        "bundle": federation.gate().bundle.digest,
        "round": 0,
        "site": name,
        "certificate": federation.gate().members.site(name).sha256,
        "mask_key": "11" * 32,
        "transcript": federation.gate().bundle.digest,
    } | claims
    return federation.gate(key).sign(announcements.KIND, statement).decode()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, None),
        ({"round": 1}, "not for round 0"),
        ({"run": "ff" * 16}, "not for round 0"),
        ({"bundle": "ff" * 32}, "not for round 0"),
        ({"certificate": "ff" * 32}, "in the name of"),
        ({"transcript": "ff" * 32}, "split"),
        ({"mask_key": "11"}, "expected 64 digits 0-9 a-f"),
        ({"mask_key": 5}, "cannot be read"),
        ({"mask_key": "AB" * 32}, "expected 64 digits 0-9 a-f"),
        ({"mask_key": " ".join(["ab"] * 32)}, "expected 64 digits 0-9 a-f"),
        ({"transcript": "AB" * 32}, "expected 64 digits 0-9 a-f"),
        ({"round": True}, "round must be a whole number"),
        ({"round": 0.0}, "round must be a whole number"),
    ],
)
def test_only_reports_for_this_round_run_bundle_and_past_make_a_roster(four, claims, reason):
    swap = lambda texts: [*texts[1:], forged(four, "four", "four", **claims)]  # noqa: E731
    site = four.sites["one"]
    if reason is None:
        site.open(rewritten(four, swap))
        assert site.takes_part
    else:
        with pytest.raises(Refused, match=reason):
            site.open(rewritten(four, swap))


def altered(text: str) -> str:
    """An announcement with another mask key in it, under the old signature."""
    envelope = json.loads(text)
    statement = json.loads(base64.b64decode(envelope["payload"])) | {"mask_key": "22" * 32}
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps(envelope | {"payload": base64.b64encode(payload).decode()})


def resigned(text: str, other: str) -> str:
    """An announcement under another announcement's signature."""
    return json.dumps(json.loads(text) | {"signatures": json.loads(other)["signatures"]})


def by_a_stranger(federation, name: str) -> str:
    """An announcement signed by somebody who is not in the member list."""
    signed = json.loads(forged(federation, name, name))
    statement = json.loads(base64.b64decode(signed["payload"]))
    return SigningGate(["mallory"], "mallory").sign(announcements.KIND, statement).decode()


def test_nobody_reports_for_another_and_nobody_twice(four):
    site = four.sites["one"]
    for change, reason in (
        (lambda t: [*t[1:], forged(four, "four", "two")], "in the name of"),
        (lambda t: [*t, t[0]], "site twice"),
        (lambda t: t[:2], "has 2 sites"),
        (lambda t: [*t[1:], altered(t[0])], "the content was altered"),
        (lambda t: [*t[1:], resigned(t[0], t[1])], "the content was altered"),
        (lambda t: [*t[1:], by_a_stranger(four, "four")], "nobody in the member list"),
        (
            lambda t: [t[1], t[3], forged(four, "three", "three"), forged(four, "four", "four")],
            "mask_key twice",
        ),
    ):
        with pytest.raises(Refused, match=reason):
            site.open(rewritten(four, change))


def test_a_roster_with_a_revoked_site_gets_no_update_and_the_next_is_without_it(four):
    site = four.sites["one"]
    site.gate.revoked_sites.append("three")
    site.open(four.aggregator.model(0))
    assert site.opened.revoked == ("three",)
    assert not site.takes_part
    with pytest.raises(Refused, match="three of its roster is revoked"):
        site.seal(four.initial, 5)
    assert framing.header(site.announce_only())["kind"] == "announcement"


def test_a_site_revoked_in_mid_round_costs_a_round_and_the_others_go_on(four):
    """The list reaches the parties when the roster of the open round holds the site already."""
    for gate in (four.aggregator.gate, *(site.gate for site in four.sites.values())):
        gate.revoked_sites.append("three")
    left = ["one", "two", "four"]
    for name in left:
        four.open(name)
        assert not four.sites[name].takes_part
        four.aggregator.take(name, 0, four.sites[name].announce_only())
    assert "no update from" in four.aggregator.close(left)
    four.aggregator.advance()
    for name in left:
        assert four.open(name).tolist() == four.initial.tolist()
        assert four.sites[name].opened.roster.sites == sorted(left)
        assert four.sites[name].takes_part


def test_more_sites_than_can_be_added_make_no_roster(four, monkeypatch):
    assert announcements.MOST_SUMMANDS == 93
    monkeypatch.setattr(announcements, "MOST_SUMMANDS", 3)
    with pytest.raises(Refused, match="has 4 sites, allowed are 3 to 3"):
        four.open("one")


def test_a_mask_key_from_which_no_secret_comes_stops_the_update(four):
    """Four signs the point of order one: whatever it is multiplied with, everybody knows."""
    site = four.sites["one"]
    site.open(rewritten(four, lambda t: [*t[1:], forged(four, "four", "four", mask_key="00" * 32)]))
    with pytest.raises(Refused, match="gives no secret"):
        four.answer("one", four.initial)
    assert site.kept() is None


def test_a_site_answers_only_a_roster_that_holds_its_own_announcement(four):
    site = four.sites["one"]
    texts = {
        announcements.read(site.gate, t, 0).site: t for t in four.aggregator.state.rosters["0"]
    }
    site.open(rewritten(four, lambda _: [texts[name] for name in ("two", "three", "four")]))
    assert not site.takes_part
    with pytest.raises(Refused, match="not in the roster"):
        site.seal(four.initial, 5)
    assert framing.header(site.announce_only())["kind"] == "announcement"
    # its own name with another mask key, signed with its stolen key: not its announcement either
    other = forged(four, "one", "one")
    site.open(rewritten(four, lambda _: [other, texts["two"], texts["three"]]))
    assert not site.takes_part


# -- one upload a round, whatever happens ---------------------------------------------------------


def test_a_restarted_site_sends_the_same_bytes_or_none(three):
    models = models_of(three)
    three.open("one")
    sent = three.answer("one", models["one"])
    site = three.restart("one")
    assert site.open(three.aggregator.model(0)) is not None
    assert site.kept() == sent
    with pytest.raises(Refused, match="has sent its update"):
        site.seal(models["one"], 5)
    with pytest.raises(Refused, match="answered already"):
        site.keep(b"another")
    # the same round with another roster: nothing
    texts = three.aggregator.state.rosters["0"]
    swapped = [
        forged(three, "two", "two") if announcements.read(site.gate, t, 0).site == "two" else t
        for t in texts
    ]
    site.open(rewritten(three, lambda _: swapped))
    with pytest.raises(Refused, match="another roster or model"):
        site.kept()


def test_an_altered_upload_on_disk_is_not_sent(three):
    three.open("one")
    three.answer("one", models_of(three)["one"])
    path = three.folder / "one" / "local_state" / "upload"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match="altered"):
        three.sites["one"].kept()


@pytest.mark.parametrize("recorded", [False, True], ids=["sealed", "written-not-recorded"])
def test_an_update_that_was_lost_before_it_was_kept_is_not_made_again(four, recorded):
    """Killed between the note outside and the record: it only announces, and the round is void."""
    models = models_of(four)
    four.open("one")
    site = four.sites["one"]
    before = (site.folder / FILE).read_bytes()
    sealed = site.seal(models["one"], 5)
    announcement = site.state.announcement(1)
    if recorded:
        before = (site.folder / FILE).read_bytes()
        site.keep(sealed)
        (site.folder / FILE).write_bytes(before)
    again = four.restart("one")
    four.open("one")
    assert again.kept() is None
    assert "nothing is encrypted twice" in again.absence
    with pytest.raises(Refused, match="nothing is encrypted twice"):
        again.seal(models["one"], 5)
    assert four.play(models) == "no update from one"
    assert again.state.announcement(1) == announcement
    assert four.play(models) is None
    assert np.abs(four.open("two") - mean_of(four, models)).max() < bound_of(four)


def test_a_mask_key_that_has_come_back_is_stopped_by_the_note_outside(three):
    """Memory and workspace are set back, as with a suspended machine; the ledgers are not."""
    models = models_of(three)
    three.open("one")
    site = three.sites["one"]
    places = (site.folder, site.state.keys.folder)
    copies = [shutil.copytree(place, three.folder / f"copy{n}") for n, place in enumerate(places)]
    three.answer("one", models["one"])
    for place, copy in zip(places, copies, strict=True):
        shutil.rmtree(place)
        shutil.copytree(copy, place)
    again = three.restart("one")
    three.open("one")
    assert again.state.announcement(0)  # the key is here
    assert "nothing is encrypted twice" in again.absence
    with pytest.raises(Refused, match="nothing is encrypted twice"):
        again.seal(models["one"], 5)
    with pytest.raises(Refused, match="has encrypted its update already"):
        again.use.take(0)


def test_keys_and_bytes_of_a_round_are_erased_when_the_next_begins(three):
    models = models_of(three)
    three.play(models)
    record = three.folder / "one" / FILE
    before = json.loads(record.read_text())
    assert set(before["announcements"]) == {"0", "1"}
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.with_name("upload").stat().st_mode & 0o777 == 0o600
    three.open("one")
    after = json.loads(record.read_text())
    assert set(after["announcements"]) == {"1"}
    assert after["upload"] is None
    assert not record.with_name("upload").exists()
    held = {path.name for path in three.sites["one"].state.keys.folder.iterdir()}
    assert held == {after["announcements"]["1"]["mask_key"]}


def test_a_site_that_lost_its_record_reports_anew_and_misses_one_round(four):
    models = models_of(four)
    four.play(models)
    shutil.rmtree(four.folder / "four" / "local_state")
    four.restart("four")
    assert four.play(models, absent=()) == "no update from four"  # its key was lost
    assert four.play(models) is None
    assert np.abs(four.open("four") - mean_of(four, models)).max() < 2 * bound_of(four)


# -- drop-outs and returning sites ---------------------------------------------------------------


def test_a_dropped_site_makes_the_round_void_and_the_run_goes_on_without_it(four):
    models = models_of(four)
    assert four.play(models, absent=("four",)) == "no update from four"
    np.testing.assert_array_equal(four.open("one"), four.initial)  # the model stays
    assert four.play(models, absent=("four",)) is None
    found = four.open("one")
    assert np.abs(found - mean_of(four, models, "four")).max() < bound_of(four, "four")
    # back again: it opens the sum, announcements, and takes part a round later
    four.restart("four")
    np.testing.assert_array_equal(four.open("four"), found)
    assert not four.sites["four"].takes_part
    assert four.play(models) is None
    assert four.play(models) is None
    assert np.abs(four.open("four") - mean_of(four, models)).max() < 2 * bound_of(four)
    assert four.sites["one"].state.voids == [0]
    assert four.sites["one"].state.changes == [1, 3]


def test_a_late_site_without_a_record_opens_the_sum_from_what_the_others_have_signed(four):
    models = models_of(four)
    four.play(models)
    four.play(models, absent=("four",))
    shutil.rmtree(four.folder / "four" / "local_state")
    late = four.restart("four")
    np.testing.assert_array_equal(four.open("four"), four.open("one"))
    assert late.opened.transcript == four.sites["one"].opened.transcript


def test_changes_of_the_roster_are_limited_by_the_site_whatever_the_aggregator_allows(tmp_path):
    federation = Federation(tmp_path, FOUR, max_roster_changes=0)
    federation.aggregator.encryption = Encryption(most_cases=10, max_roster_changes=9)
    federation.gather()
    federation.play(models_of(federation), absent=("four",))
    with pytest.raises(Refused, match=r"1 changes of the roster .*max_roster_changes"):
        federation.open("one")
    federation.close()


def test_void_rounds_and_changes_are_counted_by_every_site_itself(tmp_path):
    federation = Federation(tmp_path, FOUR, max_void=1)
    federation.gather()
    models = models_of(federation)
    federation.play(models, absent=("four",))
    federation.open("one")
    federation.aggregator.encryption = Encryption(most_cases=10, max_void=9)  # a lax aggregator
    for name in ("one", "two", "three"):
        federation.open(name)
        if name != "three":  # a second void round
            federation.aggregator.take(name, 1, federation.answer(name, models[name]))
    three = federation.sites["three"].announce_only()
    federation.aggregator.take("three", 1, three)
    federation.aggregator.close(("one", "two", "three"))
    federation.aggregator.advance()
    with pytest.raises(Refused, match=r"max_void"):
        federation.open("one")
    federation.close()


def test_an_older_round_is_never_answered(three):
    models = models_of(three)
    first = three.aggregator.model(0)
    three.play(models)
    three.open("one")
    with pytest.raises(Refused, match="answers no older round"):
        three.sites["one"].open(first)


def test_another_round_than_the_one_asked_for_is_refused(three):
    three.sites["one"].expect(3)
    with pytest.raises(Refused, match="of round 0, asked was 3"):
        three.open("one")


def test_more_cases_than_the_cap_are_refused(three):
    three.open("one")
    with pytest.raises(Refused, match="the plan allows it 1 to 10"):
        three.sites["one"].seal(three.initial, 11)


def test_a_record_of_another_run_is_not_taken_over(three):
    path = three.folder / "one" / FILE
    three.open("one")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"run": "00" * 16, "failed": "then"}))
    assert three.restart("one").state.round == -1
    path.write_text("{")
    with pytest.raises(Damaged, match="damaged"):
        three.site("one")


def test_nothing_secret_is_printed(three):
    shown = repr(three.keys) + repr(three.sites["one"].__dict__)
    assert three.keys.mac.hex() not in shown
    assert str(three.keys.mac) not in shown
    assert hashlib.sha256(three.keys.he).hexdigest() not in shown
