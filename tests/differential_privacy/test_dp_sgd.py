"""DP-SGD: what one patient can move is bounded, and the noise is what the plan has guaranteed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from scripts.local.one_process import SigningGate
from src.differential_privacy import gaussian
from src.differential_privacy.dp_sgd import PatientDPSGD, PrivateTraining, private_gradient
from src.differential_privacy.ledger import VARIABLE
from src.errors import BudgetSpent, SettingError
from src.model.losses import DiceBCE
from src.plan.view import Plan
from src.training.compute import Compute
from src.training.fedavg import FedAvg
from tests.ledgers import begun

CPU = Compute("cpu", "fp32")
ZERO = {"noise_multiplier": 0.0}
PART = {
    "epsilon": 8.0,
    "delta": 1e-4,
    "sample_rate": 0.5,
    "steps": 2,
    "clip_norm": 1.0,
    "patients": 4,
}


def parameters(*sizes: int) -> list[nn.Parameter]:
    return [nn.Parameter(torch.zeros(size)) for size in sizes]


def flat(ps) -> np.ndarray:
    return torch.cat([p.grad.flatten() for p in ps]).numpy()


def step(vectors, *, clip_norm=1.0, expected=1.0, noise_multiplier=0.0, **how) -> np.ndarray:
    """The gradient of a step on these patients, whose gradients are these vectors (3,)."""
    ps = parameters(1, 2)
    private_gradient(
        ps,
        [torch.tensor(v, dtype=torch.float32) for v in vectors],
        lambda g: [g[:1], g[1:]],
        clip_norm=clip_norm,
        expected=expected,
        noise_multiplier=noise_multiplier,
        **how,
    )
    return flat(ps)


# -- by hand --------------------------------------------------------------------------------------


def test_a_long_gradient_is_shortened_and_a_short_one_kept():
    found = step([[3.0, 0.0, 4.0], [0.1, 0.2, 0.0]], clip_norm=1.0)  # lengths 5 and 0.22
    np.testing.assert_allclose(found, [0.6 + 0.1, 0.2, 0.8], atol=1e-5)


def test_the_sum_is_divided_by_the_public_number_and_not_by_who_came():
    three = [[0.5, 0.0, 0.0]] * 3
    np.testing.assert_allclose(step(three, expected=10.0), [0.15, 0, 0], atol=1e-6)


def test_the_norm_is_taken_over_all_tensors_together():
    found = step([[3.0, 4.0, 0.0]], clip_norm=5.0)
    np.testing.assert_allclose(found, [3.0, 4.0, 0.0], rtol=1e-5)


def test_a_gradient_that_is_not_finite_counts_as_zero():
    np.testing.assert_array_equal(step([[np.nan, 0, 0], [np.inf, 0, 0]]), [0, 0, 0])


def test_nobody_sampled_is_a_step_of_pure_noise():
    drawn = step([], clip_norm=2.0, noise_multiplier=3.0, expected=4.0, normal=np.ones)
    np.testing.assert_allclose(drawn, [2 * 3 / 4] * 3)


# -- what one patient can move --------------------------------------------------------------------

vectors = st.lists(
    st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 3).map(list), min_size=1, max_size=6
)


@given(vectors, st.floats(0.01, 10))
def test_neighbouring_data_sets_differ_by_at_most_the_clip_norm(patients, clip_norm):
    whole = step(patients, clip_norm=clip_norm).astype(np.float64)
    without = step(patients[1:], clip_norm=clip_norm).astype(np.float64)
    rounding = 1e-6 * len(patients) * clip_norm  # of float32 sums
    assert np.linalg.norm(whole - without) <= clip_norm + rounding


def test_crops_counted_as_patients_would_break_the_bound():
    crops = [[1.0, 0.0, 0.0]] * 4  # of one patient
    assert np.linalg.norm(step(crops)) > 3.9  # so the mean is taken within the patient first


class Site:
    """Patients of random voxels, each with its crops; what `PatientDPSGD` needs of a loader."""

    def __init__(self, patients: int = 4, scale: float = 1.0) -> None:
        rng = np.random.default_rng(0)
        voxels = rng.normal(size=(patients, 4, 6, 6, 6)).astype(np.float32)
        self.patients = [(scale * v, (v[:3] > 0.5).astype(np.float32)) for v in voxels]
        self.asked: list = []

    def patient_crops(self, patient, crops, rng):
        self.asked.append(patient)
        images, regions = patient
        return np.stack([images] * crops), np.stack([regions] * crops)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Conv3d(8, 3, 1))


def train(part: PatientDPSGD, model: nn.Module, site: Site, algorithm=None, **how) -> float:
    return part.train(
        model,
        site,
        loss=DiceBCE(),
        algorithm=algorithm or FedAvg(),
        compute=CPU,
        round_number=0,
        **how,
    )


def moved(before: nn.Module, after: nn.Module) -> np.ndarray:
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    return torch.cat([(b - a).detach().flatten() for a, b in pairs]).numpy()


def test_more_crops_of_the_same_voxels_are_the_same_step():
    found = []
    for crops in (1, 3):
        model = network()
        part = PatientDPSGD(**PART | {"sample_rate": 1.0, "steps": 1, "crops": crops})
        train(part, model, Site(), **ZERO)
        found.append(moved(network(), model))
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-7)


def test_clipped_gradients_are_those_of_opacus():
    """Opacus' per-sample gradients by functorch, clipped and summed, against the patient loop."""
    from opacus.grad_sample import GradSampleModule

    site, clip_norm, model = Site(), 0.05, network()
    part = PatientDPSGD(
        **PART
        | {"sample_rate": 1.0, "steps": 1, "crops": 1, "clip_norm": clip_norm, "learning_rate": 1.0}
    )
    train(part, model, site, **ZERO)
    ours = -moved(network(), model) * part.patients

    wrapped = GradSampleModule(network(), force_functorch=True, strict=False, loss_reduction="sum")
    images, regions = (torch.from_numpy(np.stack(a)) for a in zip(*site.patients, strict=True))
    logits = wrapped(images.requires_grad_())  # or Opacus' hooks warn
    sum(DiceBCE()(logits[i : i + 1], regions[i : i + 1]) for i in range(4)).backward()
    each = torch.cat([p.grad_sample.flatten(1) for p in wrapped.parameters()], dim=1)
    norms = each.norm(dim=1, keepdim=True)
    assert (norms > clip_norm).all()
    theirs = (each * (clip_norm / norms).clamp(max=1)).sum(0).numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


# -- the noise ------------------------------------------------------------------------------------


def noise_of(part: PatientDPSGD, multiplier: float) -> np.ndarray:
    """What a round of one step adds at a site whose gradients vanish."""
    model, before = network(), network()
    train(part, model, Site(scale=0.0), algorithm=OnlyNoise(), noise_multiplier=multiplier)
    return -moved(before, model) * part.sample_rate * part.patients / part.learning_rate


class OnlyNoise(FedAvg):
    """Of two steps with the same data the difference is noise; here: data of no patient at all."""


def fits(drawn: np.ndarray, sigma: float) -> bool:
    """Whether the sum of squares is that of N(0, sigma^2), at the 1e-6 level."""
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], drawn.size)
    return bool(low < np.square(drawn / sigma).sum() < high)


ONE_STEP = PatientDPSGD(
    **PART | {"steps": 1, "sample_rate": 1e-4, "clip_norm": 0.7, "learning_rate": 1.0}
)


@pytest.mark.parametrize(("factor", "good"), [(1, True), (2 / 3, False), (3 / 2, False)])
def test_the_noise_has_the_guaranteed_size_and_two_thirds_of_it_would_be_noticed(factor, good):
    drawn = noise_of(ONE_STEP, 2.0 * factor)
    assert drawn.size > 800
    assert fits(drawn, 2.0 * 0.7) is good


def test_rounds_and_sites_draw_different_noise_though_the_plans_seed_is_the_same():
    first, again = (noise_of(ONE_STEP, 1.0) for _ in range(2))  # both set torch.manual_seed(0)
    assert abs(np.corrcoef(first, again)[0, 1]) < 5 / np.sqrt(first.size)


def test_the_test_above_finds_noise_of_the_plans_seed(monkeypatch):
    def seeded(count):
        return np.random.default_rng(7).standard_normal(count)

    monkeypatch.setattr(private_gradient, "__kwdefaults__", {"normal": seeded})
    first, again = (noise_of(ONE_STEP, 1.0) for _ in range(2))
    assert np.corrcoef(first, again)[0, 1] > 0.99


# -- the round ------------------------------------------------------------------------------------


def test_each_patient_is_sampled_by_himself_at_the_plans_rate():
    site = Site(patients=40, scale=0.0)
    part = PatientDPSGD(**PART | {"steps": 100, "sample_rate": 0.3, "learning_rate": 1e-9})
    train(part, nn.Sequential(nn.Conv3d(4, 3, 1)), site, **ZERO)
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], 40 * 100, 0.3)
    assert low < len(site.asked) < high


def test_an_algorithms_own_term_comes_after_the_noise():
    class Pull(FedAvg):
        seen: tuple = ()
        stepped = 0

        def after_step(self, model, optimiser):
            self.stepped += 1

        def adjust_gradients(self, model):
            self.seen += (max(float(p.grad.abs().max()) for p in model.parameters()),)
            for parameter in model.parameters():
                parameter.grad.zero_()

    pull, model = Pull(), network()
    part = PatientDPSGD(**PART)
    train(part, model, Site(), algorithm=pull, noise_multiplier=50.0)
    assert len(pull.seen) == pull.stepped == part.steps
    assert min(pull.seen) > 20  # it was shown the noised gradient, and had the last word
    np.testing.assert_array_equal(moved(network(), model), 0)


def test_only_the_tuned_part_moves():
    model, before = network(), network()
    train(PatientDPSGD(**PART | {"trainable": ["GroupNorm"]}), model, Site(), noise_multiplier=1.0)
    changed = {
        name
        for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(new, old)
    }
    assert changed == {"1.weight", "1.bias"}


def test_without_noise_it_learns():
    model, site = network(), Site()
    part = PatientDPSGD(
        **PART | {"sample_rate": 1.0, "steps": 20, "learning_rate": 0.5, "clip_norm": 5.0}
    )
    first = train(part, model, site, **ZERO)
    assert train(part, model, site, **ZERO) < 0.8 * first


# -- at a site -----------------------------------------------------------------------------------


@pytest.fixture
def at_site(tmp_path, monkeypatch):
    """Training with a real ledger that pays for two rounds; and how many it has booked."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "ledgers"))
    part = PatientDPSGD(**PART | {"spare_rounds": 0})
    site = Site()
    site.identifiers = lambda part: [f"id {number}" for number in range(4)]
    plan = Plan({"aggregator": {"settings": {"rounds_to_train": 2}}})
    gate = SigningGate(["one"], "one")
    begun(tmp_path / "ledgers", gate)
    training = part.at_site(gate, "one", plan, site)

    def run(model, number):
        how = {"loss": DiceBCE(), "algorithm": FedAvg(), "compute": CPU, "rng": None}
        return training.run(model, site, round_number=number, **how)

    return run, lambda: training.budget.ledger.booked(gate.members.run)


def test_a_round_is_booked_before_it_is_trained_and_none_beyond_the_budget(at_site):
    run, booked = at_site
    for number in range(2):
        run(network(), number)
        assert booked() == number + 1
    model = network()
    with pytest.raises(BudgetSpent, match="training of round 2"):
        run(model, 2)
    assert booked() == 2
    np.testing.assert_array_equal(moved(network(), model), 0)


def test_a_network_that_ties_patients_together_is_neither_booked_nor_trained(at_site):
    run, booked = at_site
    tied = nn.Sequential(nn.Conv3d(4, 8, 1), nn.BatchNorm3d(8), nn.Conv3d(8, 3, 1))
    with pytest.raises(SettingError, match="BatchNorm3d"):
        run(tied, 0)
    assert booked() == 0


def test_every_site_weighs_the_same_and_takes_the_plans_steps(tmp_path):
    training = PrivateTraining(PatientDPSGD(**PART), budget=None)
    assert {training.weight(cases) for cases in (1, 900)} == {1}
    assert {training.steps_for(cases) for cases in (1, 900)} == {PART["steps"]}


# -- settings -------------------------------------------------------------------------------------


def test_the_run_costs_what_the_plan_says_with_the_spare_round_in_it():
    from src.differential_privacy.accountant import epsilon

    part = PatientDPSGD(**PART)
    a_round = part.a_round(10)
    assert epsilon([a_round] * 11, part.delta) == pytest.approx(part.epsilon, rel=2e-3)
    assert epsilon([a_round] * 11, part.delta) <= part.epsilon
    assert "epsilon 8 at delta 0.0001 over 10 rounds" in part.describe(10)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("epsilon", 0.0, "epsilon must be above 0"),
        ("delta", 0.1, "delta must lie between"),
        ("sample_rate", 1.5, "sample_rate must lie between"),
        ("clip_norm", -1.0, "clip_norm must be above 0"),
        ("budget", 1.0, "budget 1.0 is below epsilon 8.0"),
        ("when_spent", "go on", "when_spent must be one of leave, stop"),
    ],
)
def test_settings_that_cannot_hold_are_refused(setting, value, words):
    with pytest.raises(SettingError, match=words):
        PatientDPSGD(**PART | {setting: value})


def test_the_noise_comes_from_the_operating_system():
    assert private_gradient.__kwdefaults__["normal"] is gaussian.standard_normal
