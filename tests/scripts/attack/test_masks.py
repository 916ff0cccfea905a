"""Masks are not used twice, whatever is set back; and where all is, no sum can be forged."""

import json

import pytest
from click.testing import CliRunner

from scripts.attack.mask_attacks import TRIES
from scripts.attack.masks import masks

FROZEN = "frozen, and gone on twice"


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, dict]:
    path = tmp_path_factory.mktemp("masks") / "rows.json"
    result = CliRunner().invoke(masks, ["--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "Forged sums" in result.output
    return {row["way"]: row for row in json.loads(path.read_text())}


def test_there_are_four_ways_and_ten_backups(rows):
    assert len(rows) == 4
    assert rows["restored from a backup"]["attempts"] == 10


def test_a_site_that_was_set_back_makes_no_second_update(rows):
    others = [row for way, row in rows.items() if way != FROZEN]
    assert [row["seconds"] for row in others] == [0, 0, 0]
    assert rows[FROZEN]["seconds"] == rows[FROZEN]["attempts"]  # the attack itself works


def test_no_two_updates_have_one_pad(rows):
    assert sum(row["one_pad"] for row in rows.values()) == 0


def test_no_forged_sum_of_a_hundred_is_taken(rows):
    assert sum(row["tries"] for row in rows.values()) == 100
    assert sum(row["accepted"] for row in rows.values()) == 0


def test_with_one_pad_for_two_updates_every_forged_sum_is_taken(rows):
    """So the attack is one, and the nonce is what stops it."""
    assert {row["control"] for row in rows.values()} == {TRIES}


def test_of_a_frozen_machine_the_difference_is_readable_with_the_key_of_sums(rows):
    """What the nonce does not mend: the masks are one, and cancel."""
    assert all(0 < row["difference"] < 1600 for row in rows.values())
