"""Membership inference: an overfit model gives its patients away, exchangeable ones stay hidden."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from scripts.attack import membership_inference
from scripts.attack.membership_inference import (
    auc,
    by_patient,
    losses,
    pooled_auc,
    true_positive_rates,
)
from src.data.preprocess import PreparedCase
from src.errors import InputError
from src.model.losses import DiceBCE
from src.training.compute import Compute

CPU = Compute("cpu", "fp32")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- the area under the curve ---------------------------------------------------------------------


def test_the_area_counts_pairs_in_which_the_member_fits_better():
    members, others = np.array([0.1, 0.4]), np.array([0.2, 0.4, 0.9])
    found = auc(members, others, rng=rng())
    assert found.value == pytest.approx((3 + 0 + 0.5 + 1) / 6)  # 0.1 beats all; 0.4 ties, and beats


def test_the_area_is_scikit_learns():
    members, others = rng(1).normal(size=30), rng(2).normal(0.4, 1.2, size=50)
    reference = roc_auc_score([1] * 30 + [0] * 50, -np.concatenate([members, others]))
    assert auc(members, others, rng=rng()).value == pytest.approx(reference)


@pytest.mark.parametrize(("members", "others", "least"), [(25, 40, 0.91), (6, 30, 0.87)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(members, others, least):
    held, draw = 0, rng()
    for _ in range(400):
        sets = draw.normal(size=members), draw.normal(size=others)
        found = auc(*sets, rng=draw, resamples=300)
        held += found.low <= 0.5 <= found.high
    assert least < held / 400 < 0.99  # of six patients no interval is quite honest


def test_exchangeable_patients_are_no_evidence_and_shifted_ones_are():
    members, others = rng(3).normal(size=(2, 60))
    assert not auc(members, others, rng=rng()).is_evidence
    assert auc(members - 1, others, rng=rng()).is_evidence


def test_sites_are_compared_within_themselves_only():
    """An easy hospital with many members would look like membership if all were thrown together."""
    easy = (rng(1).normal(0, 1, 60), rng(2).normal(0, 1, 20))
    hard = (rng(3).normal(9, 1, 20), rng(4).normal(9, 1, 60))
    together = [np.concatenate(side) for side in zip(easy, hard, strict=True)]
    assert auc(*together, rng=rng()).is_evidence
    assert not pooled_auc([easy, hard], rng=rng()).is_evidence


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, np.nan])])
def test_nobody_or_a_loss_that_is_no_number_is_refused(bad):
    with pytest.raises(InputError, match="members: expected finite losses"):
        auc(bad, np.ones(3), rng=rng())
    with pytest.raises(InputError, match="others: expected finite losses"):
        auc(np.ones(3), bad, rng=rng())
    with pytest.raises(InputError, match="found none"):
        pooled_auc([], rng=rng())


def test_rates_are_told_only_where_there_are_enough_others():
    members, others = np.arange(10) - 0.5, np.arange(100.0)
    assert true_positive_rates(members, others) == {0.1: 1.0}  # all members below the tenth other
    assert true_positive_rates(members, others[:99]) == {}
    many = np.arange(1000.0)
    assert true_positive_rates(members, many) == {0.1: 1.0, 0.01: 1.0}
    assert true_positive_rates(members * 3, many)[0.01] == pytest.approx(0.4)  # -1.5 1.5 4.5 7.5


# -- the loss -------------------------------------------------------------------------------------

SHAPE = (9, 8, 10)


def case(seed: int, patient: str = "", shape=SHAPE) -> PreparedCase:
    """Noise, and a label that has nothing to do with it: only memory can fit it."""
    draw = rng(seed)
    images = draw.normal(size=(4, *shape)).astype(np.float32)
    regions = (draw.random((3, *shape)) < 0.3).astype(np.uint8)
    name = f"case-{seed}"
    return PreparedCase(name, patient or name, images, regions, np.eye(4), shape, (0, 0, 0))


class Small(nn.Sequential):
    multiple = 2

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv3d(4, 24, 3, padding=1), nn.Tanh(), nn.Conv3d(24, 3, 3, padding=1))


class Even(nn.Module):
    """Logit 0 everywhere, with the sizes that it was asked for."""

    multiple = 4

    def forward(self, images):
        self.asked = tuple(images.shape)
        return torch.zeros_like(images[:, :3])


def test_a_case_is_padded_for_the_network_and_the_padding_is_not_in_the_loss():
    network = Even()
    found = losses(network, [case(0)], DiceBCE(bce_weight=1e9), CPU)
    assert network.asked == (1, 4, 12, 8, 12)
    assert found[0] / 1e9 == pytest.approx(np.log(2), rel=1e-4)  # whichever the labels


def test_the_loss_of_a_case_is_the_same_each_time_and_whatever_the_company():
    network, loss, cases = Small(), DiceBCE(), [case(seed) for seed in range(3)]
    first = losses(network, cases, loss, CPU)
    np.testing.assert_array_equal(first, losses(network, cases, loss, CPU))
    np.testing.assert_array_equal(first[::-1], losses(network, cases[::-1], loss, CPU))


def test_of_a_very_long_case_the_middle_counts(monkeypatch):
    monkeypatch.setattr(membership_inference, "LARGEST", 4)
    network, whole = Even(), case(0)
    cut = tuple(slice((length - 4) // 2, (length - 4) // 2 + 4) for length in SHAPE)
    part = PreparedCase(
        "p", "p", whole.images[(slice(None), *cut)], whole.regions[(slice(None), *cut)],
        np.eye(4), (4, 4, 4), (0, 0, 0),
    )  # fmt: skip
    found = losses(network, [whole, part], DiceBCE(), CPU)
    assert network.asked[2:] == (4, 4, 4)
    assert found[0] == found[1]


def test_a_case_without_label_has_no_loss():
    unlabelled = PreparedCase(
        "b", "b", np.ones((4, *SHAPE), np.float32), None, np.eye(4), SHAPE, (0, 0, 0)
    )
    with pytest.raises(InputError, match="Case b has no label"):
        losses(Small(), [unlabelled], DiceBCE(), CPU)


def test_several_scans_of_a_patient_are_one_member():
    cases = [case(0, "p"), case(1, "q"), case(2, "p")]
    np.testing.assert_array_equal(by_patient(np.array([1.0, 5.0, 2.0]), cases), [1.5, 5.0])


def test_a_model_that_learnt_its_cases_by_heart_gives_them_away():
    members, others = [case(s) for s in range(8)], [case(s) for s in range(100, 116)]
    network, loss = Small(), DiceBCE()

    def attacked():
        return auc(*(losses(network, c, loss, CPU) for c in (members, others)), rng=rng())

    assert not attacked().is_evidence  # an untrained network knows nobody
    images = torch.stack([torch.from_numpy(c.images) for c in members])
    regions = torch.stack([torch.from_numpy(c.regions).float() for c in members])
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        loss(network(images), regions).backward()
        optimiser.step()
    found = attacked()
    assert found.value > 0.95
    assert found.is_evidence
