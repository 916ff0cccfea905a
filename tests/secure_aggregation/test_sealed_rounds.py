"""What was sealed stands outside the workspace, and cannot be noted twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from src.differential_privacy import ledger_file
from src.errors import Damaged, Refused
from src.secure_aggregation.sealed_rounds import SealedRounds


@pytest.fixture
def sealed(tmp_path) -> SealedRounds:
    return SealedRounds(tmp_path / "ledger", "one", "run", "c" * 64)


def test_a_round_is_noted_once(sealed):
    assert not sealed.holds(0)
    sealed.note(0)
    assert sealed.holds(0)
    with pytest.raises(Refused, match=r"Round 0: this site has encrypted its update already"):
        sealed.note(0)
    sealed.note(1)
    assert len(sealed.path.read_text().splitlines()) == 2


def test_another_run_or_certificate_has_rounds_of_its_own(sealed, tmp_path):
    sealed.note(0)
    outside = tmp_path / "ledger"
    for other in (
        SealedRounds(outside, "one", "another run", "c" * 64),
        SealedRounds(outside, "one", "run", "d" * 64),
        SealedRounds(outside, "two", "run", "c" * 64),
    ):
        assert not other.holds(0)
        other.note(0)


def test_of_many_at_once_one_may_seal(sealed):
    def may_seal(_: int) -> bool:
        try:
            sealed.note(0)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(may_seal, range(8))) == 1


def test_an_altered_note_lets_nothing_be_sealed(sealed):
    sealed.note(0)
    sealed.path.write_text(sealed.path.read_text().replace('"round": 0', '"round": 7'))
    sealed.note(1)  # follows what is there now
    text = sealed.path.read_text()
    sealed.path.write_text(text.replace('"round": 7', '"round": 0'))
    with pytest.raises(Damaged, match="line 1 does not follow"):
        sealed.note(0)


def test_a_note_that_a_crash_has_torn_is_cut_off(sealed):
    sealed.note(0)
    with sealed.path.open("a") as file:
        file.write('{"certificate": "cc')
    assert sealed.holds(0)
    sealed.note(1)
    assert sealed.holds(1)


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_sent(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="notes the rounds that it has encrypted, and cannot"):
        SealedRounds(tmp_path / "file" / "ledger", "one", "run", "c" * 64).open()


def test_the_ledgers_beside_it_do_not_mind(sealed):
    sealed.note(0)
    assert ledger_file.ledger_files(sealed.outside) == []
    assert sealed.outside.stat().st_mode & 0o777 == 0o700
