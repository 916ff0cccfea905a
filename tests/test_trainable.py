"""Words that name the trainable parameters of a network."""

import pytest
from torch import nn

from src.errors import SettingError
from src.model.unet import GliomaUNet
from src.trainable import trainable_names


@pytest.fixture(scope="module")
def unet() -> GliomaUNet:
    return GliomaUNet()


def test_a_class_names_every_module_of_it_and_a_place_that_module_alone():
    network = nn.Sequential(nn.Linear(2, 2), nn.GroupNorm(1, 2), nn.Linear(2, 1, bias=False))
    assert trainable_names(network, ["GroupNorm"]) == {"1.weight", "1.bias"}
    assert trainable_names(network, ["Linear"]) == {"0.weight", "0.bias", "2.weight"}
    assert trainable_names(network, ["2", "GroupNorm"]) == {"1.weight", "1.bias", "2.weight"}


def test_without_words_everything_is_tuned(unet):
    assert trainable_names(unet, None) == {name for name, _ in unet.named_parameters()}


def test_a_place_holds_all_that_is_inside_and_no_neighbour_with_a_longer_name():
    network = nn.ModuleDict({"up": nn.Sequential(nn.Linear(1, 1)), "upper": nn.Linear(1, 1)})
    assert trainable_names(network, ["up"]) == {"up.0.weight", "up.0.bias"}


def test_norms_and_head_of_the_lite_network_are_some_thousand_values(unet):
    names = trainable_names(unet, ["GroupNorm", "head"])
    assert sum(p.numel() for name, p in unet.named_parameters() if name in names) == 1432
    assert {"head.weight", "head.bias"} < names


@pytest.mark.parametrize("word", ["GroupNrom", "heads", "LeakyReLU", "", "GliomaUNet"])
def test_a_word_that_names_nothing_is_answered_with_what_there_is(unet, word):
    with pytest.raises(SettingError, match=r"names no parameter of GliomaUNet.*GroupNorm.*head"):
        trainable_names(unet, [word])


def test_an_empty_list_is_refused(unet):
    with pytest.raises(SettingError, match="nothing would be trained"):
        trainable_names(unet, [])
