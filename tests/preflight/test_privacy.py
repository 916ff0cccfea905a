"""The doctor tells what a private plan would spend, and stops a site that cannot pay or account."""

import shutil

import pytest
import yaml

from scripts.local.workspace import complete_plan
from scripts.partition.preparation import make_phantoms, site_folders
from src.differential_privacy.guarantee import guarantees
from src.differential_privacy.ledger import Ledger
from src.errors import Damaged, Refused
from src.plan import plan as plans
from src.plan.view import Plan
from src.preflight.finding import Examination
from src.preflight.privacy import privacy
from src.trust import approval
from src.trust.gate import SiteGate
from tests.ceremonies import ADDRESS, ROOT
from tests.ledgers import begun


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private") / "sites"
    make_phantoms(folder, 1, "5", seed=1, size=32, spacing_mm=5.5)
    return next(iter(site_folders(folder).values()))


@pytest.fixture
def workspace(parties, cases):
    """Site one's, with the private plan and five patients."""
    plan = complete_plan(ROOT / "plan" / "dp.yaml", address=ADDRESS, port=50061)
    (parties / "one/plan/plan.yaml").write_text(yaml.safe_dump(plan))
    shutil.copytree(cases, parties / "one/data/one")
    return parties / "one"


@pytest.fixture
def ledgers(tmp_path, monkeypatch, parties, clock):
    monkeypatch.setenv("GLIOMA_LEDGER", str(tmp_path / "ledger"))
    return begun(tmp_path / "ledger", gate_of(parties / "one", clock))


def gate_of(workspace, clock) -> SiteGate:
    gate = SiteGate(str(workspace), clock)
    gate.identify("one")
    return gate


def examine(workspace, clock, name: str | None = "one") -> list[tuple[str, str]]:
    return list(privacy(Examination(workspace, name, clock())))


def book(workspace, ledgers, clock, rounds: int, run: str = "an earlier one") -> Ledger:
    """So many rounds of the plan, of the site's training patients."""
    gate = gate_of(workspace, clock)
    plan = Plan.read(workspace / "plan/plan.yaml")
    (guarantee,) = guarantees(plan)
    plan.loader["settings"]["cache"] = str(workspace / "cache")
    data = plans.build(plan.loader, data_path=str(workspace / "data/one"))
    ledger = Ledger.open(ledgers, "one", data.identifiers("training"), gate)
    for number in range(rounds):
        ledger.book(
            guarantee.a_round,
            unit="patient",
            run=run,
            round_number=number,
            delta=guarantee.delta,
            budget=guarantee.budget,
            what="training",
        )
    return ledger


def test_a_site_that_has_spent_nothing_may_start(workspace, ledgers, clock):
    states, texts = zip(*examine(workspace, clock), strict=True)
    assert set(states) == {"ok"}
    assert (
        "epsilon 0.000 of each patient is spent, and this run's 10 rounds bring it to" in texts[-1]
    )
    assert "the plan allows 8 (delta 0.0001)" in texts[-1]


def test_a_budget_that_pays_for_some_rounds_is_told_in_rounds(workspace, ledgers, clock):
    book(workspace, ledgers, clock, 7)
    state, text = examine(workspace, clock)[-1]
    assert state == "warn"
    assert "it pays for 4 of them, then this site only listens" in text


def test_a_budget_that_does_not_pay_for_one_round_stops_the_start(workspace, ledgers, clock):
    book(workspace, ledgers, clock, 11)
    state, text = examine(workspace, clock)[-1]
    assert state == "fail"
    assert "it does not pay for one" in text


def test_a_run_that_has_begun_may_go_on_listening(workspace, ledgers, clock):
    run = SiteGate(str(workspace), clock).members.run
    book(workspace, ledgers, clock, 11, run)
    assert examine(workspace, clock)[-1][0] in ("ok", "warn")


def test_rounds_of_this_run_are_not_asked_for_twice(workspace, ledgers, clock):
    run = SiteGate(str(workspace), clock).members.run
    book(workspace, ledgers, clock, 4, run)
    state, text = examine(workspace, clock)[-1]
    assert state == "ok"
    assert "this run's 6 rounds" in text


def test_a_folder_without_a_begun_ledger_stops_the_start(workspace, ledgers, clock, monkeypatch):
    """Another HOME, say, or a container without its volume."""
    monkeypatch.setenv("GLIOMA_LEDGER", str(ledgers.parent / "elsewhere"))
    with pytest.raises(Refused, match=r"No ledger was begun in .*elsewhere.*ledger begin"):
        examine(workspace, clock)
    gate = gate_of(workspace, clock)
    member = gate.members.site("one")
    approval.approve(workspace, gate.bundle, gate.members.run, member, gate.key, clock())
    with pytest.raises(Refused, match="counted as nothing"):
        gate.open("one")
    monkeypatch.setenv("GLIOMA_LEDGER", str(ledgers))
    gate.open("one")


def test_a_lost_ledger_stops_the_start(workspace, ledgers, clock):
    book(workspace, ledgers, clock, 1)
    shutil.rmtree(ledgers)
    with pytest.raises(Damaged, match=r"but no ledger in .* holds it"):
        examine(workspace, clock)


def test_an_altered_ledger_stops_the_start(workspace, ledgers, clock):
    ledger = book(workspace, ledgers, clock, 2)
    ledger.path.write_text(ledger.path.read_text().replace('"round": 0', '"round": 9'))
    with pytest.raises(Damaged, match="line 2 does not follow"):
        examine(workspace, clock)


def test_ledgers_inside_the_workspace_are_refused(workspace, monkeypatch, clock):
    inside = workspace / "local_state/ledger"
    monkeypatch.setenv("GLIOMA_LEDGER", str(begun(inside, gate_of(workspace, clock))))
    failed = [text for state, text in examine(workspace, clock) if state == "fail"]
    assert len(failed) == 1
    assert "whoever deletes it loses count" in failed[0]


def test_a_folder_that_cannot_be_written_is_refused(workspace, ledgers, clock, monkeypatch):
    (workspace.parent / "file").touch()
    monkeypatch.setenv("GLIOMA_LEDGER", str(workspace.parent / "file" / "ledger"))
    found = privacy(Examination(workspace, "one", clock()))
    state, text = next(found)
    assert state == "fail"
    assert "cannot be written to" in text


def test_the_aggregator_is_told_the_promise_and_needs_no_ledger(workspace, ledgers, clock):
    ((state, text),) = examine(workspace, clock, None)
    assert state == "ok"
    assert "epsilon 8 at delta 0.0001 over 10 rounds" in text
    assert {path.name for path in ledgers.iterdir()} == {"salt", "journal", "lock"}


def test_a_plan_without_noise_is_left_in_peace(parties, ledgers, clock):
    assert examine(parties / "two", clock, "two") == [
        ("ok", "the plan guarantees no differential privacy")
    ]


def test_a_site_does_not_start_either_where_a_ledger_was_lost_or_altered(workspace, ledgers, clock):
    ledger = book(workspace, ledgers, clock, 1)
    gate = SiteGate(str(workspace), clock)
    member = gate.identify("one")
    approval.approve(workspace, gate.bundle, gate.members.run, member, gate.key, clock())
    gate.open("one")
    gate.lock.release()  # its process has ended
    kept = ledger.path.read_bytes()
    ledger.path.write_bytes(kept.replace(b'"steps": 3', b'"steps": 1'))
    with pytest.raises(Damaged, match="the signature is under another line"):
        SiteGate(str(workspace), clock).open("one")
    ledger.path.unlink()
    with pytest.raises(Damaged, match="but no ledger in"):
        SiteGate(str(workspace), clock).open("one")
    ledger.path.write_bytes(kept)
    SiteGate(str(workspace), clock).open("one")
