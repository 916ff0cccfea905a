"""A ledger that is elsewhere, older or another's: what each costs in epsilon, and who notices."""

import gzip
import shutil
from pathlib import Path

import pytest

from src.data.site_cases import SiteCases
from src.differential_privacy import journal
from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.ledger import Ledger, begin
from src.errors import Damaged, InputError, Refused
from src.secure_aggregation import announcements
from src.secure_aggregation.heads import FILE, ROLLED_BACK, SHOWN, Heads, LedgerHead
from src.trust import audit, ledger_check
from src.trust.gate import AggregatorGate, SiteGate
from tests.ledgers import begun

PATIENTS = ["id anna", "id boris"]
A_ROUND = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=3)
DELTA = 1e-3
KEY = announcements.X25519PrivateKey.generate()
PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [16, 16, 16]}}


def spent_in(rounds: int) -> float:
    return epsilon([A_ROUND] * rounds, DELTA)


def book(ledger: Ledger, *rounds: int) -> float:
    for number in rounds:
        told = ledger.book(
            A_ROUND,
            unit="patient",
            run="7",
            round_number=number,
            delta=DELTA,
            budget=100.0,
            what="training",
        )
    return told


@pytest.fixture
def site(parties, clock) -> SiteGate:
    gate = SiteGate(str(parties / "one"), clock)
    gate.identify("one")
    return gate


@pytest.fixture
def ledgers(tmp_path, site) -> Path:
    return begun(tmp_path / "ledger", site)


@pytest.fixture
def ledger(ledgers, site) -> Ledger:
    return Ledger.open(ledgers, "one", PATIENTS, site)


@pytest.fixture
def peer(parties, clock):
    """The aggregator, which takes one's announcements; any other site does the same."""
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    return Peer(gate)


class Peer:
    def __init__(self, gate: AggregatorGate) -> None:
        self.gate = gate
        self.log = gate.workspace / audit.FILE
        self.restart()

    def restart(self) -> None:
        self.heads = Heads(self.gate.workspace / FILE, self.gate.members.run, self.gate)

    def hear(self, site: SiteGate, round_number: int, head: LedgerHead | None, **how) -> None:
        text = announcements.write(site, "one", round_number, KEY, bytes(32), head)
        self.heads.see([announcements.read(self.gate, text, round_number)], **how)

    def events(self, event: str) -> list[dict]:
        certificates = [member.certificate for member in self.gate.members.members]
        return [line for line in audit.verify(self.log, certificates) if line["event"] == event]


# -- a first ledger is begun, and never by itself ------------------------------------------------


def test_no_ledger_is_opened_in_a_folder_that_was_not_begun(ledger, site, tmp_path):
    """The attack: another GLIOMA_LEDGER. Before, it was booked anew there: 1 round, not 4."""
    assert book(ledger, 0, 1, 2) == spent_in(3)
    with pytest.raises(Refused, match=r"another GLIOMA_LEDGER, another user or HOME, a container"):
        Ledger.open(tmp_path / "elsewhere", "one", PATIENTS, site)
    assert not (tmp_path / "elsewhere").exists()
    assert book(ledger, 3) == spent_in(4)


def test_who_has_begun_it_when_and_why_is_its_first_line(ledgers, site, parties, clock):
    first = journal.read(ledgers)[0]
    assert first["by"] == "an engineer"
    assert first["why"] == "first private run, in a test"
    assert first["time"] == clock().isoformat()
    found = [text for _, text in ledger_check.check(ledgers, parties / "one", clock())]
    assert found[-1].endswith(
        "1 lines, begun 2026-11-23 by an engineer: first private run, in a test"
    )
    with pytest.raises(InputError, match=r"was begun .* by an engineer: first private run"):
        begin(ledgers, "one", site, by="mallory", why="again")


@pytest.mark.parametrize(("by", "why"), [("", "first"), ("anna", " ")])
def test_nobody_begins_it_without_a_name_and_a_reason(tmp_path, site, by, why):
    with pytest.raises(InputError, match="Say who begins the ledger"):
        begin(tmp_path / "new", "one", site, by=by, why=why)


def test_a_first_line_in_anothers_words_is_found(ledgers, ledger, parties, clock):
    path = ledgers / journal.FILE
    lines = journal.hash_chain.read(path)
    path.unlink()
    chain = journal.HashChain(path)
    for line in [lines[0] | {"why": "none was ever needed"}, *lines[1:]]:
        chain.append(**line)
    with pytest.raises(Damaged, match="line 0: the signature is under another line"):
        list(ledger_check.check(ledgers, parties / "one", clock()))


def test_beginning_anew_does_not_get_past_what_the_audit_log_knows(
    ledger, ledgers, parties, clock, tmp_path
):
    book(ledger, 0)
    with pytest.raises(Damaged, match=r"was booked in .* but no ledger in .*elsewhere holds it"):
        ledger_check.refuse_lost(tmp_path / "elsewhere", parties / "one", clock())
    ledger_check.refuse_lost(ledgers, parties / "one", clock())


def test_ledgers_of_an_earlier_version_are_taken_over_and_count(ledger, ledgers, site):
    book(ledger, 0, 1)
    (ledgers / journal.FILE).unlink()  # such as those versions have left it
    with pytest.raises(Refused, match="ledger begin"):
        Ledger.open(ledgers, "one", PATIENTS, site)
    assert begin(ledgers, "one", site, by="anna", why="the kit is newer") == 3
    assert book(Ledger.open(ledgers, "one", PATIENTS, site), 2) == spent_in(3)


# -- an older copy, put back ----------------------------------------------------------------------


def test_one_ledger_put_back_is_found_by_the_journal_beside_it(ledger, ledgers, site):
    book(ledger, 0)
    old = ledger.path.read_bytes()
    book(ledger, 1, 2)
    ledger.path.write_bytes(old)
    for attempt in (lambda: book(ledger, 3), lambda: Ledger.open(ledgers, "one", PATIENTS, site)):
        with pytest.raises(Damaged, match=r"has no line 2 as .*journal has noted it"):
            attempt()


def test_a_crash_between_ledger_and_journal_is_caught_up_at_the_next_start(ledger, ledgers, site):
    book(ledger, 0)
    path = ledgers / journal.FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert Ledger.open(ledgers, "one", PATIENTS, site).head().count == 3


def test_a_whole_folder_put_back_and_booked_on_is_refused_by_every_peer(
    ledger, ledgers, site, peer, tmp_path
):
    """The attack: the journal goes back with it, so that nothing beside the ledger can tell."""
    book(ledger, 0)
    shutil.copytree(ledgers, tmp_path / "older")
    assert book(ledger, 1, 2) == spent_in(3)
    peer.hear(site, 3, ledger.head())
    shutil.rmtree(ledgers)
    (tmp_path / "older").rename(ledgers)
    again = Ledger.open(ledgers, "one", PATIENTS, site)
    assert book(again, 3) == spent_in(2)  # where 4 rounds were spent
    peer.restart()
    with pytest.raises(Refused, match=r"ledger of one was rolled back: it had 5 lines .* shows 4"):
        peer.hear(site, 4, again.head())
    (alarm,) = peer.events(ROLLED_BACK)
    assert (alarm["site"], alarm["round"], alarm["had"], alarm["count"]) == ("one", 4, 5, 4)
    book(again, 4)
    with pytest.raises(Refused, match=r"had 5 lines .* shows 5"):  # as many, with another end
        peer.hear(site, 5, again.head())


def test_a_peers_log_finds_it_after_the_run_where_the_own_log_is_gone(
    ledger, ledgers, site, peer, parties, clock, tmp_path
):
    book(ledger, 0)
    peer.hear(site, 1, ledger.head())
    shutil.copytree(ledgers, tmp_path / "older")
    book(ledger, 1)
    peer.hear(site, 2, ledger.head())
    compare = (peer.log, "one", parties / "one", clock())
    assert "2 heads of one's ledger, all of them" in ledger_check.against_peer(ledgers, *compare)
    (parties / "one" / audit.FILE).unlink()  # a new workspace
    assert ledger_check.check(tmp_path / "older", parties / "one", clock())
    with pytest.raises(Damaged, match=r"in round 2 .* one has shown a ledger of 4 lines"):
        ledger_check.against_peer(tmp_path / "older", *compare)
    new = begun(tmp_path / "new", site)
    assert Ledger.open(new, "one", PATIENTS, site).spent(DELTA) == 0.0  # somebody has begun it
    with pytest.raises(Damaged, match="is another"):
        ledger_check.against_peer(new, *compare)


def test_an_honest_ledger_only_grows_and_each_head_is_logged_once(ledger, site, peer):
    for number in range(3):
        for _ in range(2):  # a site asks for work again, an old roster is shown again
            peer.hear(site, number, ledger.head())
        book(ledger, number)
    peer.hear(site, 0, LedgerHead(2, "0" * 64))
    assert [line["count"] for line in peer.events(SHOWN)] == [2, 3, 4]


def test_a_site_of_a_private_plan_that_shows_no_head_is_refused(ledger, site, peer):
    with pytest.raises(Refused, match="one shows no head of its privacy ledger"):
        peer.hear(site, 0, None, demanded=True)
    peer.hear(site, 0, None)
    peer.hear(site, 1, ledger.head())
    with pytest.raises(Refused, match="one shows no head"):
        peer.hear(site, 2, None)


@pytest.mark.parametrize(
    "head",
    [{"count": 0, "sha256": "0" * 64}, {"count": True, "sha256": "0" * 64}, {"count": 1}]
    + [{"count": 1, "sha256": text} for text in ("0" * 63, "A" * 64, 7)]
    + [[], "x"],
)
def test_what_is_no_head_is_refused(site, peer, head):
    text = announcements.write(site, "one", 0, KEY, bytes(32))
    _, statement = peer.gate.verify(announcements.KIND, text.encode(), in_force=True)
    wrong = site.sign(announcements.KIND, statement | {"ledger": head}).decode()
    with pytest.raises(Refused, match="one's announcement cannot be read"):
        announcements.read(peer.gate, wrong, 0)


# -- patients under other names -----------------------------------------------------------------


def test_patients_renamed_and_saved_anew_have_spent_what_they_have_spent(
    phantom_sites, ledgers, site, tmp_path
):
    """The attack: other ids, other gzip. By ids and file hashes alone it is worth all epsilon."""
    anew = tmp_path / "anew"
    shutil.copytree(phantom_sites["one"], anew)
    for folder in [path for path in anew.iterdir() if path.is_dir()]:
        new = folder.name.replace(folder.name[-3:], f"9{folder.name[-2:]}")
        for path in folder.iterdir():
            if path.name.endswith(".nii.gz"):
                path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=3))
            path.rename(folder / path.name.replace(folder.name, new))
        folder.rename(anew / new)
    before, after = (
        SiteCases(str(data), patches=PATCHES, cache=str(tmp_path / f"cache-{data.name}"))
        for data in (phantom_sites["one"], anew)
    )
    known, wanted = (
        [*cases.identifiers("training"), *cases.identifiers("validation")]
        for cases in (before, after)
    )
    assert not {i for i in known if i.startswith("id ")} & {
        i for i in wanted if i.startswith("id ")
    }
    assert book(Ledger.open(ledgers, "one", known, site), 0, 1) == spent_in(2)
    by_file = [identifier for identifier in wanted if not identifier.startswith("voxels")]
    assert Ledger.open(ledgers, "one", by_file, site).spent(DELTA) == 0.0
    assert Ledger.open(ledgers, "one", wanted, site).spent(DELTA) == spent_in(2)


def test_a_ledger_that_knows_patients_by_id_and_file_still_counts(
    phantom_sites, ledgers, site, tmp_path
):
    cases = SiteCases(str(phantom_sites["one"]), patches=PATCHES, cache=str(tmp_path / "cache"))
    now = cases.identifiers("training")
    older = [identifier for identifier in now if not identifier.startswith("voxels")]
    book(Ledger.open(ledgers, "one", older, site), 0)
    assert Ledger.open(ledgers, "one", now, site).spent(DELTA) == spent_in(1)
