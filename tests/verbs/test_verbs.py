"""`python -m src <verb>`, as an engineer types it in a workspace."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.local.workspace import complete_plan
from src.differential_privacy.budget import Budget
from src.differential_privacy.guarantee import guarantees
from src.differential_privacy.ledger import Ledger, folder
from src.plan.view import Plan
from src.trust import audit, bundle, fingerprint
from src.trust.certificate import utc_now
from src.trust.gate import SiteGate
from tests import ceremonies
from tests.ledgers import begun

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def today(tmp_path_factory) -> Path:
    """A ceremony held now, since the verbs look at the real clock."""
    folder = tmp_path_factory.mktemp("today")
    ceremonies.hold(folder, ceremonies.Clock(utc_now()))
    return folder


def typed(*words, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "src", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_show_tells_what_would_run_and_both_rows_of_words(today):
    shown = typed("show", "--workspace", today / "one")
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    digest = bundle.read(today / "one").digest
    assert f"Words: {fingerprint.words(digest)}" in text
    for expected in (
        "rounds 10 of training",
        "the whole model after each round of local training",
        "privacy none but TLS",
        "the same as in",
        "agg.example.org aggregator",
        "no lines differ",
    ):
        assert expected in text, text


def test_show_names_code_that_the_kit_does_not_have(today):
    path = today / "two" / "src" / "added.py"
    path.write_text("x = 1\n")
    shown = typed("show", "--workspace", today / "two")
    text = " ".join(shown.stdout.split())
    path.unlink()
    assert "1 files differ from" in text
    assert "src/added.py" in text
    assert "+x = 1" in text


def test_show_looks_at_a_bundle_before_there_is_a_member_list(today, tmp_path):
    workspace = tmp_path / "glioma"
    shutil.copytree(today / "two", workspace, ignore=shutil.ignore_patterns("cert", "approvals"))
    (workspace / "numpy.py").write_text("print('run before anybody has looked')\n")
    text = " ".join(typed("show", "--workspace", workspace).stdout.split())
    assert "1 files differ from" in text
    assert "numpy.py" in text
    assert "run before" not in text
    assert "No member list yet" in text
    assert "Words:" not in text


def test_show_in_the_workspace_itself_says_whose_code_is_talking(today):
    text = " ".join(typed("show", folder=today / "one").stdout.split())
    assert "Run `show` from a kit that you trust" in text


def test_approve_signs_only_the_bundle_whose_words_were_heard(today):
    other = fingerprint.words("00" * 32)
    shown = typed("approve", "-n", "one", "--workspace", today / "one", "--words", other)
    assert shown.returncode == 1
    assert "has other words" in shown.stderr
    assert "Nothing was signed" in shown.stderr
    words = fingerprint.words(bundle.read(today / "one").digest)
    shown = typed("approve", "-n", "one", "--workspace", today / "one", "--words", words)
    assert shown.returncode == 0, shown.stderr
    assert "approvals/approval.json" in shown.stdout


def test_doctor_has_a_table_a_file_and_an_exit_code(today, tmp_path):
    words = ("doctor", "--offline", "--json", tmp_path / "doctor.json")
    shown = typed(*words, folder=today / "aggregator")
    assert shown.returncode == 0, shown.stdout
    assert "Next: python -m src start" in shown.stdout
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert {row["rule"]: row["state"] for row in found if row["state"] != "ok"} == {
        "encryption": "warn"  # this plan is the plain one
    }
    shown = typed("doctor", "-n", "one", "--offline", folder=today / "one")
    assert shown.returncode == 1  # it has no data
    assert "1 must be put right" in shown.stdout


def test_audit_verify_finds_an_altered_line(today):
    workspace = today / "two"
    log = audit.AuditLog(workspace / audit.FILE, "two", utc_now)
    log.write("started", bundle="b")
    log.write("ended", how="over")
    shown = typed("audit", "verify", folder=workspace)
    assert shown.returncode == 0, shown.stderr
    assert "lines of two, the chain holds" in shown.stdout
    path = workspace / audit.FILE
    path.write_text(path.read_text().replace('"started"', '"stopped"'))
    shown = typed("audit", "verify", folder=workspace)
    assert shown.returncode == 1
    assert "error:" in shown.stderr
    assert "does not follow the line before it" in shown.stderr


@pytest.fixture
def private(today, tmp_path, monkeypatch) -> Path:
    """Site one's workspace with the private plan; ledgers lie beside it."""
    monkeypatch.setenv("GLIOMA_LEDGER", str(tmp_path / "ledger"))
    shutil.copytree(today / "one", tmp_path / "one", ignore=shutil.ignore_patterns("logs"))
    plan = complete_plan(ROOT / "plan" / "dp.yaml", address=ceremonies.ADDRESS, port=50061)
    (tmp_path / "one" / "plan" / "plan.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path / "one"


@pytest.fixture
def booked(private) -> Ledger:
    """Three rounds of it, booked."""
    gate = SiteGate(str(private))
    gate.identify("one")
    begun(folder(), gate)
    (guarantee,) = guarantees(Plan.read(private / "plan" / "plan.yaml"))
    budget = Budget.open(
        gate,
        "one",
        ["id anna", "id boris"],
        a_round=guarantee.a_round,
        unit=guarantee.unit,
        epsilon=guarantee.budget,
        delta=guarantee.delta,
        rounds=guarantee.rounds,
        when_spent="leave",
    )
    for number in range(3):
        budget.book(number)
    return budget.ledger


def test_ledger_show_tells_what_is_spent_and_what_is_left(private, booked):
    shown = typed("ledger", "show", "-n", "one", folder=private)
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    assert f"{booked.path.name} one, 2 patients" in text
    assert f"epsilon {booked.spent(1e-4):.3f} (by PRV" in text
    assert "the plan allows 8: " in text
    assert "which pays for 8 more rounds of it" in text
    assert "training patient 3 1.139 0.25 3" in text
    assert "anna" not in text


def test_ledger_show_of_a_site_without_one_says_so(private):
    shown = typed("ledger", "show", "-n", "one", "--workspace", private)
    assert "Nothing has been booked for one" in shown.stdout


def test_a_ledger_is_begun_once_and_says_who_and_why(private):
    words = ("ledger", "begin", "-n", "one", "--workspace", private, "--by", "A. Person")
    shown = typed(*words, "--why", "first private run here")
    assert shown.returncode == 0, shown.stderr
    assert "Begun:" in shown.stdout
    shown = typed(*words, "--why", "again")
    assert shown.returncode == 1
    assert "by A. Person: first private run here" in " ".join(shown.stderr.split())
    shown = typed("ledger", "verify", "-n", "one", "--workspace", private)
    assert "by A. Person: first private run here" in " ".join(shown.stdout.split())


def test_ledger_verify_finds_an_altered_and_a_lost_ledger(private, booked):
    words = ("ledger", "verify", "-n", "one", "--workspace", private)
    shown = typed(*words)
    assert shown.returncode == 0, shown.stderr
    assert "4 lines, chain and signatures hold" in shown.stdout
    assert "3 bookings, all of them in the ledgers" in shown.stdout
    text = booked.path.read_text()
    booked.path.write_text(text.replace('"steps": 3', '"steps": 1'))
    shown = typed(*words)
    assert shown.returncode == 1
    assert "does not follow the line before it" in shown.stderr
    booked.path.unlink()
    shown = typed(*words)
    assert shown.returncode == 1
    assert "one was lost" in " ".join(shown.stderr.split())


def test_receive_says_what_it_took_and_refuses_what_is_no_package(today, tmp_path):
    package = today / "packages" / "agg_to_col_one_signed_cert.zip"
    shown = typed("receive", package, "--workspace", today / "one")
    assert shown.returncode == 0, shown.stderr
    assert "members.json" in shown.stdout
    (tmp_path / "x.zip").write_text("nonsense")
    shown = typed("receive", tmp_path / "x.zip", "--workspace", today / "one")
    assert shown.returncode == 1
    assert "not a package of the desk" in shown.stderr


def test_words_of_requests_are_the_desks(today):
    request = today / "aggregator" / "cert" / "server" / f"agg_{ceremonies.ADDRESS}.csr"
    shown = typed("request-words", request)
    desk = ceremonies.open_desk(today / "desk", utc_now)
    assert f"Words:       {ceremonies.words_of(desk, request)}" in shown.stdout
    shown = typed("request-encryption-key", "-n", "one", "--workspace", today / "one")
    package = today / "one" / "col_one_to_agg_cert_request.zip"
    assert f"Words:       {ceremonies.words_of(desk, package)}" in shown.stdout
