"""The ledger keeps what was booked: over rounds, restarts, kills, new names and added patients."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from src import hash_chain
from src.differential_privacy import journal
from src.differential_privacy import ledger as ledger_module
from src.differential_privacy.accountant import DpEvent, calibrate, epsilon
from src.differential_privacy.ledger import BOOKED, Ledger
from src.differential_privacy.ledger_file import in_unit, ledger_files
from src.errors import BudgetSpent, Damaged, InputError, SettingError
from src.trust import audit
from tests.ceremonies import START
from tests.fuzz.parsers import chained_anew
from tests.ledgers import begun

ROOT = Path(__file__).resolve().parents[2]
PATIENTS = ["anna.0017", "boris.0018", "clara.0019", "dario.0020"]
DELTA = 1e-2
A_ROUND = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=3)


def opened(ledgers, gate, identifiers=PATIENTS, site="one") -> Ledger:
    return Ledger.open(begun(ledgers, gate), site, identifiers, gate)


def book(ledger: Ledger, round_number: int = 0, event: DpEvent = A_ROUND, **changed) -> float:
    settings = {"unit": "patient", "run": "7", "delta": DELTA, "budget": 100.0, "what": "training"}
    return ledger.book(event, round_number=round_number, **(settings | changed))


def cut_off_the_end(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def of(rounds: int, event: DpEvent = A_ROUND) -> float:
    return epsilon([event] * rounds, DELTA)


# -- counting ----------------------------------------------------------------------------------


def test_nothing_is_spent_of_a_new_data_set(ledgers, gate):
    assert opened(ledgers, gate).spent(DELTA) == 0


def test_ten_rounds_with_a_restart_each_cost_what_one_run_of_the_same_steps_costs(ledgers, gate):
    told = [book(opened(ledgers, gate), number) for number in range(10)]
    whole = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=30)
    assert told[-1] == opened(ledgers, gate).spent(DELTA) == epsilon([whole], DELTA)
    assert told == sorted(told)


def test_a_round_that_is_begun_again_is_counted_again(ledgers, gate):
    ledger = opened(ledgers, gate)
    book(ledger, 0)
    assert book(ledger, 0) == of(2)


def test_runs_of_several_plans_add_up(ledgers, gate):
    another = DpEvent(noise_multiplier=2.0)
    book(opened(ledgers, gate))
    assert book(opened(ledgers, gate), event=another, run="8") == epsilon([A_ROUND, another], DELTA)
    assert opened(ledgers, gate).booked("7") == opened(ledgers, gate).booked("8") == 1


def test_a_round_that_would_exceed_the_budget_is_refused_and_not_booked(ledgers, gate):
    ledger = opened(ledgers, gate)
    for number in range(3):
        book(ledger, number, budget=of(3))
    before = ledger.path.read_bytes()
    with pytest.raises(BudgetSpent, match=r"training of round 3 would bring .* of each patient"):
        book(ledger, 3, budget=of(3))
    assert ledger.path.read_bytes() == before
    assert ledger.spent(DELTA) == of(3)
    assert book(ledger, 3, budget=of(4)) == of(4)


def test_a_calibrated_run_spends_its_whole_budget_and_no_more(ledgers, gate):
    multiplier = calibrate(epsilon=2.0, delta=DELTA, sample_rate=0.5, steps=12)
    a_round = DpEvent(noise_multiplier=multiplier, sample_rate=0.5, steps=3)
    ledger = opened(ledgers, gate)
    for number in range(4):
        spent = book(ledger, number, a_round, budget=2.0)
    assert 1.99 < spent <= 2.0
    with pytest.raises(BudgetSpent):
        book(ledger, 4, a_round, budget=2.0)


def test_a_release_without_noise_is_never_paid(ledgers, gate):
    with pytest.raises(BudgetSpent, match="epsilon inf"):
        book(opened(ledgers, gate), event=DpEvent(noise_multiplier=0.0))


def test_one_may_ask_what_more_would_cost_without_booking_it(ledgers, gate):
    ledger = opened(ledgers, gate)
    book(ledger)
    assert ledger.spent(DELTA, more=[A_ROUND, A_ROUND]) == of(3)
    assert ledger.spent(DELTA) == of(1)


# -- names and patients ------------------------------------------------------------------------


def test_another_name_of_the_site_makes_nothing_unspent(ledgers, gate):
    book(opened(ledgers, gate))
    assert opened(ledgers, gate, site="renamed").spent(DELTA) == of(1)


@pytest.mark.parametrize("identifiers", [[*PATIENTS, "new.0021"], PATIENTS[1:], PATIENTS[:1]])
def test_a_patient_more_or_less_makes_nothing_unspent(ledgers, gate, identifiers):
    book(opened(ledgers, gate))
    changed = opened(ledgers, gate, identifiers)
    assert changed.spent(DELTA) == of(1)
    assert book(changed) == of(2)
    assert opened(ledgers, gate).spent(DELTA) == of(2)


def test_other_patients_have_a_budget_of_their_own(ledgers, gate):
    book(opened(ledgers, gate))
    assert opened(ledgers, gate, ["new.0021", "new.0022"]).spent(DELTA) == 0


def test_a_renamed_patient_is_known_by_his_images(ledgers, gate):
    book(opened(ledgers, gate, ["id anna", "t1 0badcafe", "id boris", "t1 00c0ffee"]))
    assert opened(ledgers, gate, ["id x-01", "t1 0badcafe"]).spent(DELTA) == of(1)
    assert [ledger_file.patients for ledger_file in ledger_files(ledgers)] in ([2, 1], [1, 2])


def test_the_order_of_patients_and_their_repetition_do_not_matter(ledgers, gate):
    paths = {
        opened(ledgers, gate, identifiers).path
        for identifiers in (PATIENTS, [*PATIENTS[::-1], "anna.0017"])
    }
    assert len(paths) == 1


# -- units -------------------------------------------------------------------------------------


def test_a_sites_clipped_update_counts_for_a_patient_with_half_its_noise(ledgers, gate):
    update = DpEvent(noise_multiplier=6.0)
    ledger = opened(ledgers, gate)
    assert book(ledger, event=update, unit="site") == of(1, update)
    assert ledger.spent(DELTA) == of(1, DpEvent(noise_multiplier=3.0))
    assert ledger.spent(DELTA, unit="site") == of(1, update)


def test_patients_releases_count_for_the_site_as_all_its_patients_at_once(ledgers, gate):
    ledger = opened(ledgers, gate)
    book(ledger)
    assert ledger.spent(DELTA, unit="site") == of(1, DpEvent(noise_multiplier=1.0, steps=3))


def test_a_sites_other_patients_are_the_same_site(ledgers, gate):
    update = DpEvent(noise_multiplier=6.0)
    book(opened(ledgers, gate), event=update, unit="site")
    assert opened(ledgers, gate, ["new.0021"]).spent(DELTA, unit="site") == of(1, update)
    assert opened(ledgers, gate, ["new.0021"], "two").spent(DELTA, unit="site") == 0


def test_an_unknown_unit_is_refused(ledgers, gate):
    with pytest.raises(SettingError, match="unit must be one of patient, site"):
        book(opened(ledgers, gate), unit="crop")


def test_units_by_hand():
    sampled = DpEvent(noise_multiplier=3.0, sample_rate=0.1, steps=5)
    assert in_unit(sampled, "patient", "patient", 8) == sampled
    assert in_unit(sampled, "site", "patient", 8) == DpEvent(
        noise_multiplier=1.5, sample_rate=0.1, steps=5
    )
    assert in_unit(sampled, "patient", "site", 8) == DpEvent(noise_multiplier=3 / 8, steps=5)


# -- crashes -----------------------------------------------------------------------------------

CHILD = f"""
import sys, time
from datetime import datetime
from pathlib import Path
from src.differential_privacy.accountant import DpEvent
from src.differential_privacy.ledger import Ledger
from src.trust.gate import SiteGate

gate = SiteGate(sys.argv[1], lambda: datetime.fromisoformat({START.isoformat()!r}))
gate.identify("one")
ledger = Ledger.open(Path(sys.argv[2]), "one", {PATIENTS!r}, gate)
release = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=3)
for number in range(3):
    ledger.book(release, unit="patient", run="7", round_number=number, delta={DELTA}, budget=1e9,
                what="training")
    print(number, flush=True)
time.sleep(600)  # a round goes on
"""


def test_a_booking_stands_although_the_process_is_killed(workspace, ledgers, gate):
    command = [sys.executable, "-c", CHILD, workspace, ledgers]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as site:
        assert site.stdout is not None
        assert [int(site.stdout.readline()) for _ in range(3)] == [0, 1, 2]
        os.kill(site.pid, signal.SIGKILL)
    assert opened(ledgers, gate).booked("7") == 3
    assert opened(ledgers, gate).spent(DELTA) == of(3)
    assert book(opened(ledgers, gate), 2) == of(4)


def test_a_booking_torn_by_a_power_cut_was_none_and_is_cut_off(ledgers, gate):
    ledger = opened(ledgers, gate)
    book(ledger, 0)
    whole = ledger.path.read_bytes()
    book(ledger, 1)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-40])
    cut_off_the_end(ledgers / journal.FILE)  # nothing is noted that is not on disk
    assert ledger.spent(DELTA) == of(1)
    assert ledger.path.read_bytes() == whole
    assert book(opened(ledgers, gate), 1) == of(2)


def test_a_ledger_torn_at_its_first_line_is_begun_anew(ledgers, gate):
    path = opened(ledgers, gate).path
    path.write_bytes(path.read_bytes()[:100])
    cut_off_the_end(ledgers / journal.FILE)
    assert book(opened(ledgers, gate)) == of(1)


def test_parties_that_book_at_the_same_time_never_exceed_the_budget_together(ledgers, gate):
    told: list[str] = []

    def site(identifiers: list[str]) -> None:
        ledger = opened(ledgers, gate, identifiers)
        for number in range(4):
            try:
                book(ledger, number, budget=of(5))
                told.append("booked")
            except BudgetSpent:
                told.append("refused")

    threads = [Thread(target=site, args=(PATIENTS[i:],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["booked"] * 5 + ["refused"] * 7
    assert opened(ledgers, gate).spent(DELTA) == of(5)


# -- damage ------------------------------------------------------------------------------------


@pytest.fixture
def booked(ledgers, gate) -> Ledger:
    ledger = opened(ledgers, gate)
    for number in range(3):
        book(ledger, number)
    return ledger


@pytest.mark.parametrize("act", ["alter", "drop", "swap"])
def test_a_line_that_was_altered_dropped_or_moved_stops_the_next_booking(booked, gate, act):
    lines = booked.path.read_bytes().splitlines(keepends=True)
    if act == "alter":
        lines[1] = lines[1].replace(b'"steps": 3', b'"steps": 1')
    elif act == "drop":
        del lines[1]
    else:
        lines[1], lines[2] = lines[2], lines[1]
    booked.path.write_bytes(b"".join(lines))
    for attempt in (lambda: book(booked, 3), lambda: opened(booked.path.parent, gate)):
        with pytest.raises(Damaged, match=r"line [12] does not follow"):
            attempt()


def test_a_ledger_deleted_under_a_running_site_stops_it(booked):
    booked.path.unlink()
    with pytest.raises(Damaged, match=r"is gone\. Restore it"):
        book(booked, 3)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x" * 32)])
def test_a_lost_salt_is_noticed_because_nobody_could_be_recognised(booked, gate, damage):
    damage(booked.path.parent / "salt")
    with pytest.raises(Damaged, match="their patients cannot be recognised"):
        opened(booked.path.parent, gate)
    with pytest.raises(Damaged, match="their patients cannot be recognised"):
        book(booked, 3)


def test_what_is_no_ledger_is_refused(booked):
    (booked.path.parent / "other.jsonl").write_bytes(
        hash_chain.encoded({"event": "x", "n": 0, "previous": hash_chain.START})
    )
    with pytest.raises(Damaged, match="does not begin as a ledger does"):
        book(booked, 3)


# -- what stands in it, and who can read it ----------------------------------------------------


def test_files_and_folder_are_their_owners_alone(booked):
    folder = booked.path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_folder_that_others_can_read_is_refused(booked, gate):
    booked.path.parent.chmod(0o750)
    with pytest.raises(Damaged, match="chmod 700"):
        opened(booked.path.parent, gate)


def test_no_patient_stands_in_any_file_nor_in_the_audit_log(booked, gate):
    files = [*booked.path.parent.iterdir(), gate.audit.path]
    for path in files:
        content = path.read_bytes().decode(errors="replace") + path.name
        assert not [mark for mark in PATIENTS if mark in content or mark[:4] in content]


def test_the_same_patients_have_other_hashes_in_another_folder(ledgers, gate):
    found = [opened(ledgers / name, gate).path for name in ("one", "two")]
    first, second = (ledger_files(path.parent)[0].identifiers for path in found)
    assert len(first) == len(second) == len(PATIENTS)
    assert not first & second


def test_every_booking_stands_in_the_audit_log_with_the_ledgers_head(booked, gate):
    logged = audit.verify(gate.audit.path, [gate.certificate])
    noted = [line["head"] for line in logged if line["event"] == BOOKED][-3:]
    lines = hash_chain.read(booked.path)
    assert noted == [hash_chain.digest(line) for line in lines if line["event"] == "booked"]


def test_a_site_without_patients_or_with_a_path_for_a_name_is_refused(ledgers, gate):
    for site, identifiers in (("one", []), ("one", [""]), ("../one", PATIENTS)):
        with pytest.raises(InputError, match="expected a site and its patients") as caught:
            opened(ledgers, gate, identifiers, site)
        assert "anna" not in str(caught.value)


def test_the_folder_is_outside_the_workspace(monkeypatch, tmp_path):
    monkeypatch.setenv("GLIOMA_LEDGER", str(tmp_path / "named"))
    assert ledger_module.folder() == tmp_path / "named"
    monkeypatch.delenv("GLIOMA_LEDGER")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert ledger_module.folder() == tmp_path / "state/glioma-federation/ledger"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ledger_module.folder() == tmp_path / ".local/state/glioma-federation/ledger"


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        (0, "identifiers", 5),
        (0, "patients", "4"),
        (0, "certificate", "x"),
        (1, "unit", None),
        (1, "unit", "family"),
        (1, "steps", 0.5),
        (1, "noise_multiplier", "4"),
        (1, "envelope", []),
    ],
)
def test_a_line_chained_anew_with_another_type_is_damage(ledgers, gate, line, key, value):
    ledger = opened(ledgers, gate)
    book(ledger)
    lines = hash_chain.read(ledger.path)
    lines[line][key] = value
    ledger.path.write_bytes(chained_anew(lines))
    with pytest.raises(Damaged, match="no line of a ledger"):
        ledger_files(ledgers)
