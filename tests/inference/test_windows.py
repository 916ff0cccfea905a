"""Prediction of whole cases, in one pass and by windows."""

import numpy as np
import pytest
import torch
from torch import nn

from src.errors import SettingError
from src.inference.windows import Inferer, pad_to_multiple
from src.model.unet import GliomaUNet


class Brightness(nn.Module):
    """A network whose answer is known: a voxel belongs to all regions if its T1 is positive."""

    multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(100.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * images[:, :1].repeat(1, 3, 1, 1, 1)


def images(shape=(21, 18, 13)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    "inferer", [Inferer(), Inferer(one_pass_voxels=0, window=(16, 16, 16))], ids=["pass", "windows"]
)
def test_every_voxel_is_predicted_in_its_place(inferer):
    case = images()
    prediction = inferer.predict(Brightness(), case)
    assert prediction.dtype == bool
    np.testing.assert_array_equal(prediction, np.repeat(case[:1] > 0, 3, axis=0))


def test_a_size_that_is_no_multiple_is_padded_and_cut_back():
    assert Inferer().predict(GliomaUNet(), images((17, 20, 33))).shape == (3, 17, 20, 33)


def test_padding_is_behind_and_zero():
    padded = pad_to_multiple(torch.ones(1, 4, 5, 8, 9), 8)
    assert padded.shape == (1, 4, 8, 8, 16)
    assert padded.sum() == 4 * 5 * 8 * 9
    assert padded[0, 0, 4, 7, 8] == 1


def test_the_threshold_decides():
    case = images()
    strict = Inferer(threshold=1.0).predict(Brightness(), case / 1000)
    assert strict.mean() < Inferer(threshold=0.5).predict(Brightness(), case / 1000).mean()


def test_read_only_images_from_the_cache_are_taken():
    case = images()
    case.flags.writeable = False
    assert Inferer().predict(Brightness(), case).any()


@pytest.mark.parametrize(
    "settings", [{"overlap": 1.0}, {"threshold": -0.1}, {"one_pass_voxels": -1}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        Inferer(**settings)
