"""Local norm layers: they are a site's own, last as it does, and nothing of them leaves."""

import numpy as np
import pytest
import torch
from torch import nn

from src.errors import SettingError
from src.training.local_norms import LocalNorms
from src.training.memory import History, Memory


def network(norm: float = 1.0) -> nn.Sequential:
    model = nn.Sequential(nn.Conv3d(1, 4, 1), nn.GroupNorm(2, 4))
    nn.init.constant_(model[1].weight, norm)
    return model


def round_of(memory: Memory, number: int, moved_by: float, arrived: float = 1.0):
    """(a site's norm at the round's beginning, at its end, what is sent), in a new process."""
    own, model = LocalNorms(), network(arrived)
    own.remember(memory)
    assert own.localise(model, number)
    begun = model[1].weight[0].item()
    own.begin_round(model, number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(moved_by)
    ended = model[1].weight[0].item()
    own.end_round(model, 1, 0.1)
    return begun, ended, model


def test_what_arrived_is_sent_back_and_everything_else_as_it_was_trained(tmp_path):
    begun, ended, sent = round_of(Memory(), 0, 0.5, arrived=3.0)
    assert (begun, ended) == (3.0, 3.5)
    assert torch.equal(sent[1].weight, torch.full((4,), 3.0))
    assert torch.equal(sent[1].bias, torch.zeros(4))
    assert sent[0].weight.abs().max() > 0.4


def test_a_sites_own_lasts_from_round_to_round_on_its_disk(tmp_path):
    path = tmp_path / "algorithm.npz"
    values = [round_of(Memory(path), number, 0.5)[:2] for number in range(3)]
    assert values == [(1.0, 1.5), (1.5, 2.0), (2.0, 2.5)]


def test_a_void_round_is_undone(tmp_path):
    path, everybody = tmp_path / "algorithm.npz", ("one", "two", "three")

    def memory(summed):
        rosters = dict.fromkeys(range(summed or 0, 3), everybody)
        return Memory(path, "", lambda number: History(summed, rosters))

    round_of(memory(None), 0, 0.5)
    assert round_of(memory(0), 1, 10.0)[:2] == (1.5, 11.5)
    assert round_of(memory(0), 2, 0.5)[:2] == (1.5, 2.0)


def test_a_round_that_is_trained_again_begins_where_it_began(tmp_path):
    path = tmp_path / "algorithm.npz"
    first = [round_of(Memory(path), number, 0.5)[:2] for number in (0, 1)]
    assert round_of(Memory(path), 1, 0.5)[:2] == first[1]


def test_a_site_that_lost_its_own_goes_on_from_what_arrives(tmp_path):
    path = tmp_path / "algorithm.npz"
    round_of(Memory(path), 0, 0.5)
    path.unlink()
    assert round_of(Memory(path), 1, 0.5)[0] == 1.0


def test_what_has_just_been_trained_is_scored_with_its_own_norms():
    own, model = LocalNorms(), network()
    own.localise(model, 0)
    with torch.no_grad():
        model[1].weight.fill_(7.0)
    own.end_round(model, 1, 0.1)
    own.localise(model, 0)
    np.testing.assert_array_equal(model[1].weight.detach(), 7.0)


def test_a_word_that_names_no_layer_is_refused():
    with pytest.raises(SettingError, match="'BatchNorm3d' names no parameter"):
        LocalNorms(layers=["BatchNorm3d"]).localise(network(), 0)
