"""No way to make a ledger forget leaves less counted than was spent."""

import json

import pytest
from click.testing import CliRunner

from scripts.attack.ledger import ledger
from scripts.attack.ledger_attacks import ATTACKS

PATIENTS = {name for name in ATTACKS if name.startswith("patients")}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, dict]:
    path = tmp_path_factory.mktemp("ledger") / "rows.json"
    result = CliRunner().invoke(ledger, ["--json", str(path)])
    assert result.exit_code == 0, result.output
    return {row["attack"]: row for row in json.loads(path.read_text())}


def test_every_attack_would_have_been_worth_something(rows):
    assert set(rows) == set(ATTACKS)
    assert all(row["counted"] < row["spent"] for row in rows.values())


def test_a_ledger_elsewhere_or_put_back_is_refused(rows):
    assert {name for name, row in rows.items() if row["now"] is None} == set(ATTACKS) - PATIENTS
    assert "No ledger was begun" in rows["another folder"]["noticed"]
    assert "rolled back" in rows["the whole folder put back, and booked on"]["noticed"]


def test_patients_under_other_names_have_spent_what_they_have_spent(rows):
    for name in PATIENTS:
        assert rows[name]["now"] == pytest.approx(rows[name]["spent"])
