"""The settings of encrypted plans."""

import pytest

from src.errors import SettingError
from src.secure_aggregation.settings import Encryption


@pytest.mark.parametrize(
    ("enrolled", "needed"), [(3, 3), (4, 3), (5, 4), (6, 5), (9, 7), (10, 7), (93, 63)]
)
def test_min_sites_follows_the_number_enrolled(enrolled, needed):
    found = Encryption().needed(enrolled)
    assert found == needed
    assert found > enrolled / 2  # two halves of a split federation cannot both go on


@pytest.mark.parametrize(
    ("settings", "enrolled"),
    [
        ({}, 2),
        ({}, 94),
        ({"min_sites": 5}, 4),
        ({"min_sites": 3}, 6),
        ({"accomplices": 2}, 3),
        ({"min_sites": 4, "accomplices": 3}, 5),
    ],
)
def test_numbers_that_do_not_protect_anybody_are_refused(settings, enrolled):
    with pytest.raises(SettingError, match="min_sites"):
        Encryption(**settings).needed(enrolled)


@pytest.mark.parametrize(
    "settings",
    [{"bits": 20}, {"min_sites": 2}, {"max_void": -1}, {"cases": {"a": 0}}, {"most_cases": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingError):
        Encryption(**settings)


def test_caps_sum_over_the_enrolled_sites():
    encryption = Encryption(most_cases=100, cases={"b": 7})
    assert [encryption.cap(site) for site in "ab"] == [100, 7]
    assert encryption.total("abc") == 207


def test_both_parties_must_agree_on_numbers_and_size():
    assert Encryption().fingerprint(10) != Encryption().fingerprint(11)
    assert Encryption().fingerprint(10) != Encryption(bits=16).fingerprint(10)
    assert Encryption().fingerprint(10) == Encryption(most_cases=5).fingerprint(10)


def test_a_run_ends_over_either_limit_and_the_reason_names_its_setting():
    encryption = Encryption(max_void=1, max_roster_changes=2)
    assert encryption.over_limit({3}, {4, 5}) is None
    assert encryption.over_limit({9, 3}, ()) == (
        "2 void rounds in this run (rounds [3, 9]), allowed are 1 (compression_pipeline.max_void)."
    )
    over = encryption.over_limit((), [1, 2, 3])
    assert over
    assert "3 changes of the roster" in over
    assert "compression_pipeline.max_roster_changes" in over
