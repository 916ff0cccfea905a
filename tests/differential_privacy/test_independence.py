"""Networks and losses that tie patients together are found, whatever they are called."""

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from src.differential_privacy.independence import TOLERANCE, coupling, refuse_coupling
from src.errors import SettingError
from src.model.losses import DiceBCE
from src.model.unet import GliomaUNet


def network(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv3d(4, 8, 3, padding=1), norm, nn.ReLU(), nn.Conv3d(8, 3, 1))


GROUPED = network(nn.GroupNorm(2, 8))


class RunningWeights(DiceBCE):
    """A loss that remembers what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.zeros(3))


class WeightedMean(nn.Module):
    """Cross-entropy divided by the batch's own number of tumour voxels."""

    def forward(self, logits, regions):
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, regions, reduction="none")
        return (entropy * (1 + regions)).sum() / (1 + regions).sum()


def test_the_kits_own_network_and_loss_leave_patients_apart():
    assert coupling(GliomaUNet(), DiceBCE()) < TOLERANCE
    refuse_coupling(GliomaUNet(), DiceBCE())


@pytest.mark.parametrize(
    "loss", [DiceCELoss(sigmoid=True, batch=True), WeightedMean()], ids=["batch dice", "weights"]
)
def test_a_loss_over_the_batch_is_refused(loss):
    with pytest.raises(SettingError, match="ties patients together"):
        refuse_coupling(GROUPED, loss)


def test_the_same_loss_by_sample_is_taken():
    refuse_coupling(GROUPED, DiceCELoss(sigmoid=True, batch=False))


def test_batch_norm_is_refused_by_name():
    with pytest.raises(SettingError, match="1 is a BatchNorm3d: statistics of a batch"):
        refuse_coupling(network(nn.BatchNorm3d(8)), DiceBCE())


def test_a_buffer_would_leave_without_noise():
    with pytest.raises(SettingError, match=r"task_runner\.loss keeps frequency"):
        refuse_coupling(GROUPED, RunningWeights())
    with pytest.raises(SettingError, match=r"task_runner\.model keeps 1\.running_mean"):
        refuse_coupling(network(nn.InstanceNorm3d(8, track_running_stats=True)), DiceBCE())


def test_the_probe_leaves_the_network_as_it_is():
    before = {name: tensor.clone() for name, tensor in GROUPED.state_dict().items()}
    refuse_coupling(GROUPED, DiceBCE())
    for name, tensor in GROUPED.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
