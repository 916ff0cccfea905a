"""The checks name what they check."""

import math

import pytest

from src import require
from src.errors import InputError


@pytest.mark.parametrize(
    ("check", "good", "bad", "words"),
    [
        (require.positive, (0.1,), (0,), "rate must be above 0, got 0"),
        (require.positive, (1,), (math.inf,), "rate must be above 0, got inf"),
        (require.not_negative, (0,), (-1,), "rate must be 0 or more, got -1"),
        (require.whole, (0,), (1.5,), "rate must be a whole number of at least 0, got 1.5"),
        (require.whole, (7,), (True,), "rate must be a whole number"),
        (require.in_range, (0.5, 0, 1), (1.1, 0, 1), "rate must lie between 0 and 1, got 1.1"),
        (require.in_range, (1, 0, 1), (math.nan, 0, 1), "rate must lie between 0 and 1, got nan"),
        (require.one_of, ("a", "ab"), ("c", "ab"), "rate must be one of a, b; got 'c'"),
        (
            require.same_shape,
            ((2,), (2,)),
            ((3,), (2,)),
            r"rate must have shape \(2,\), got \(3,\)",
        ),
    ],
)
def test_each_check_passes_the_good_and_names_the_bad(check, good, bad, words):
    check("rate", *good)
    with pytest.raises(InputError, match=words):
        check("rate", *bad)
