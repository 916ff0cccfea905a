"""Rules with a state: whatever is killed at the aggregator, a round ends as it would have ended."""

import numpy as np
import pytest

from src.aggregation.centred_clipping import CentredClipping
from src.aggregation.fedavgm import FedAvgM
from src.aggregation.nearest_neighbours import NearestNeighbours
from src.aggregation.norm_clipping import NormClipping
from src.aggregation.weighted_mean import WeightedMean
from src.errors import RunFailed
from src.rounds.combine import next_model
from src.training.memory import Memory

SENT = [{"one": (np.array([n + 1, 2.0, -n], np.float32), 1.0)} for n in range(4)]
START = np.zeros(3, np.float32)


def end(folder, number: int, before: np.ndarray, rule=None) -> np.ndarray:
    """End a round as a process does that has just started."""
    return next_model(
        rule or FedAvgM(momentum=0.5, learning_rate=1.0),
        SENT[number],
        where="here",
        round_number=number,
        before=lambda: before,
        memory=Memory(folder / "rule.npz"),
    )


def models(folder) -> list[np.ndarray]:
    found = [START]
    for number in range(3):
        found.append(end(folder, number, found[-1]))
    return found


def test_three_rounds_by_hand_with_a_new_process_in_each(tmp_path):
    """m = .5 m + (y - x): first value 1; .5 + (2 - 1); .75 + (3 - 2.5)."""
    assert [float(model[0]) for model in models(tmp_path)] == [0.0, 1.0, 2.5, 3.75]


def test_a_round_that_is_ended_twice_ends_alike(tmp_path):
    found = models(tmp_path)
    np.testing.assert_array_equal(end(tmp_path, 2, found[2]), found[3])
    np.testing.assert_array_equal(end(tmp_path, 2, found[2]), found[3])


def test_a_new_start_begins_without_momentum(tmp_path):
    found = models(tmp_path)
    np.testing.assert_array_equal(end(tmp_path, 0, START), found[1])


def test_without_what_was_kept_the_run_does_not_go_on(tmp_path):
    found = models(tmp_path)
    (tmp_path / "rule.npz").unlink()
    with pytest.raises(RunFailed, match=r"FedAvgM goes on from what it kept .*rule.npz is not"):
        end(tmp_path, 3, found[3])


def test_with_what_another_run_has_kept_the_run_does_not_go_on(tmp_path):
    models(tmp_path)
    with pytest.raises(RunFailed, match="Restore local_state/ whole, or start a new run"):
        end(tmp_path, 3, START)


def test_a_rule_without_a_state_writes_nothing(tmp_path):
    assert end(tmp_path, 3, START, WeightedMean())[0] == 4
    assert not list(tmp_path.iterdir())


def around(folder, rule, *values: float, before: float, number: int = 3) -> float:
    sent = {f"site-{n}": (np.array([value], np.float32), 1.0) for n, value in enumerate(values)}
    return float(
        next_model(
            rule,
            sent,
            where="here",
            round_number=number,
            before=lambda: np.array([before], np.float32),
            memory=Memory(folder / "rule.npz"),
        )[0]
    )


@pytest.mark.parametrize("mixed", [False, True])
def test_norm_clipping_shortens_changes_and_keeps_nothing(tmp_path, mixed):
    part = {"template": "src.aggregation.norm_clipping.NormClipping", "settings": {"liars": 0}}
    rule = NearestNeighbours(rule=part, liars=0) if mixed else NormClipping(liars=0)
    expected = 7.0 + (1 if mixed else 2 / 3)  # all three are the mean, 8, when nobody is left out
    assert around(tmp_path, rule, 7.0, 8.0, 9.0, before=7.0) == pytest.approx(expected)
    assert not list(tmp_path.iterdir())


def test_centred_clipping_begins_at_the_last_rounds_change_in_a_new_process_too(tmp_path):
    """tau = 1. Round 0 moves by (1 + 1 + 1) / 3; round 1 begins at 2, and 2.5 is .5 from there."""
    found = 0.0
    for number, values in enumerate([(1, 1, 9), (2, 2, 2.5)]):
        rule = CentredClipping(radius=1.0, iterations=1)
        found = around(tmp_path, rule, *values, before=found, number=number)
    assert found == pytest.approx(2 + 0.5 / 3, rel=1e-6)


def test_too_few_sites_are_refused_before_what_was_kept_is_touched(tmp_path):
    with pytest.raises(RunFailed, match="CentredClipping needs 3 sites"):
        around(tmp_path, CentredClipping(), 1.0, 2.0, before=0.0, number=0)
    assert not list(tmp_path.iterdir())
