"""Privacy per site: what is decrypted carries the guaranteed noise, and each round is booked."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from src.differential_privacy import accountant
from src.differential_privacy.distributed_noise import FAILURE, SharedNoise
from src.differential_privacy.site_level import SiteDP, SiteNoise, bookings
from src.errors import BudgetSpent, PlanError, SettingError
from src.model_vector import norm
from src.plan import plan as plans
from src.plan import rules
from src.plan.view import Plan
from src.rounds.preparation import shared_noise
from src.secure_aggregation import framing
from src.secure_aggregation.fixed_point import to_signed
from src.secure_aggregation.protocol import ANNOUNCEMENT
from src.secure_aggregation.settings import PAYLOAD, Encryption
from tests.oracles import T, unmasked, variance_fits
from tests.secure_aggregation.sealing import Federation

PLANS = Path(__file__).resolve().parents[2] / "plan"
THREE = {"one": 5, "two": 2, "three": 4}  # numbers of cases, of which nothing may be seen
SIZE = 6000  # in two tensors, of which the second is trainable
DP = SiteDP(epsilon=8.0, delta=1e-3, clip_norm=0.5)
ROUNDS = 2
PLAN = Plan({"task_runner": {}, "aggregator": {"settings": {"rounds_to_train": ROUNDS}}})


@dataclass
class Patients:
    """A site's data, as far as its ledger asks."""

    names: list[str]

    def identifiers(self, part: str) -> list[str]:
        return self.names


class NoisedFederation(Federation):
    """Sites whose second tensor is trainable and noised."""

    def __init__(self, folder, cases=THREE, dp=DP, size=SIZE, **settings):
        self.dp = dp
        super().__init__(folder, cases, size, **({"most_cases": 1} | settings))

    def site(self, name, *arguments, **named):
        site = super().site(name, *arguments, **named)
        shared = self.dp.shared(self.encryption, len(self.cases), ROUNDS, self.sizes[1])
        data = Patients([f"{name}-{i}" for i in range(3)])
        site.share.noise = self.dp.at_site(site.gate, name, PLAN, data, shared, [False, True])
        return site

    @property
    def frozen(self) -> slice:
        return slice(0, self.sizes[0])

    @property
    def trainable(self) -> slice:
        return slice(self.sizes[0], None)

    def trained(self, length: float = 0.3) -> dict[str, np.ndarray]:
        """A model for each site: the opened one, moved by so much in all of its values."""
        models = {}
        for number, name in enumerate(self.cases):
            moved = np.random.default_rng(number).normal(size=self.size)
            moved *= length / norm(moved[self.trainable])
            models[name] = (self.open(name) + moved).astype(np.float32)
        return models

    def grid(self, name="one"):
        site = self.sites[name]
        return site.share.noise.grid(site.fixed, site.opened.model)

    def booked(self, name: str) -> int:
        budget = self.sites[name].share.noise.budget
        return budget.ledger.booked(budget.run)

    def sent(self, name: str, model: np.ndarray) -> np.ndarray:
        """The integers (P,) that a site has sent: what only itself can work out."""
        site = self.sites[name]
        message = self.answer(name, model)
        slots = to_signed(unmasked(self, name, message), T)[0, :PAYLOAD]
        return site.fixed.decode(slots[: site.fixed.slots], 1, site.verification.total).values


@pytest.fixture(autouse=True)
def ledgers_apart(monkeypatch, ledgers):
    monkeypatch.setenv("GLIOMA_LEDGER", str(ledgers))


@pytest.fixture
def three(tmp_path):
    federation = NoisedFederation(tmp_path)
    federation.gather()
    yield federation
    federation.close()


# -- the noise of the decrypted sum -------------------------------------------------------------


def test_the_decrypted_sum_carries_the_whole_noise_and_two_thirds_or_three_halves_would_be_seen(
    three,
):
    noises = []
    for _ in range(ROUNDS):
        models = three.trained()
        before, grid = three.open("one"), three.grid()
        clipped = sum(models[name] - before for name in THREE) / 3  # they are shorter than the clip
        assert three.play(models) is None
        noise = three.open("one") - before - clipped
        noises.append(noise[three.trainable] * 2.0**-grid.exponent)  # in steps of the sum
        guaranteed = grid.sigma * 3**0.5
        assert variance_fits(noises[-1], guaranteed)
        assert not variance_fits(noises[-1], guaranteed * 2 / 3)
        assert not variance_fits(noises[-1], guaranteed * 3 / 2)
    assert abs(np.corrcoef(*noises)[0, 1]) < 6 / 3000**0.5  # another round, another noise

    # two honest sites' shares are what the guarantee counts on
    multiplier = 2**0.5 * grid.sigma / grid.norm_squared**0.5
    event = accountant.DpEvent(noise_multiplier=multiplier, steps=ROUNDS + 2)
    assert accountant.epsilon([event], DP.delta - FAILURE) <= DP.epsilon
    less = accountant.DpEvent(noise_multiplier=multiplier * 2 / 3, steps=ROUNDS + 2)
    assert accountant.epsilon([less], DP.delta - FAILURE) > DP.epsilon


def test_each_site_adds_its_own_share(three):
    models = three.trained(length=0.0)
    sent = {name: three.sent(name, models[name])[three.trainable] for name in THREE}
    base = three.sites["one"].fixed.whole(three.initial, [0, three.grid().exponent], 3)
    shares = {name: values - base[three.trainable] for name, values in sent.items()}
    for share in shares.values():
        assert variance_fits(share, three.grid().sigma)
        assert not variance_fits(share, three.grid().sigma * 2 / 3)
    found = np.corrcoef(list(shares.values()))[np.triu_indices(3, 1)]
    assert (np.abs(found) < 6 / 3000**0.5).all()


def test_an_update_longer_than_the_clip_norm_comes_in_at_the_clip_norm(tmp_path):
    dp = SiteDP(epsilon=1e6, delta=1e-3, clip_norm=0.5)  # next to no noise
    federation = NoisedFederation(tmp_path, dp=dp)
    federation.gather()
    before, models = federation.initial, federation.trained(length=50.0)
    federation.play(models)
    moved = (federation.open("one") - before)[federation.trainable]
    expected = sum((models[n] - before)[federation.trainable] * 0.5 / 50 for n in THREE) / 3
    assert norm(moved - expected) < 0.1 * norm(expected)
    federation.close()


def test_what_is_not_tuned_keeps_the_models_own_integers_whatever_a_site_has_trained(three):
    for length in (0.3, 3000.0):
        before = three.open("one")
        three.play(three.trained(length))
        fixed = three.sites["one"].fixed
        step = 2.0 ** fixed.exponents(before)[0]
        nearest = np.rint(before[three.frozen].astype(np.float64) / (3 * step)) * (3 * step)
        np.testing.assert_array_equal(three.open("one")[three.frozen], np.float32(nearest))


def test_every_site_weighs_the_same_and_the_divisor_is_the_roster(tmp_path):
    """Four sites of very different size, one of them lost: the mean of three."""
    dp = SiteDP(epsilon=1e6, delta=1e-3, clip_norm=0.5)
    federation = NoisedFederation(tmp_path, THREE | {"four": 90}, dp)
    federation.gather()
    federation.play(federation.trained(), absent=("four",))
    models = federation.trained(length=0.4)
    before = federation.open("one")
    assert federation.play(models, absent=("four",)) is None
    moved = (federation.open("one") - before)[federation.trainable]
    expected = sum((models[name] - before)[federation.trainable] for name in THREE) / 3
    assert norm(moved - expected) < 0.1 * norm(expected)
    federation.close()


def test_an_update_that_is_not_finite_counts_as_none_and_is_told_at_the_site(three, caplog):
    models = three.trained(length=0.0)
    models["two"][-1] = np.nan
    with caplog.at_level(logging.WARNING):
        sent = three.sent("two", models["two"])[three.trainable]
    assert "is not finite" in caplog.text
    base = three.sites["two"].fixed.whole(three.initial, [0, three.grid().exponent], 3)
    assert variance_fits(sent - base[three.trainable], three.grid().sigma)


# -- booking ------------------------------------------------------------------------------------


def test_a_round_is_booked_once_and_resending_books_nothing(three):
    models = three.trained()
    assert three.booked("one") == 0
    first = three.answer("one", models["one"])
    assert three.booked("one") == 1
    assert three.answer("one", models["one"]) == first
    three.restart("one")
    three.open("one")
    assert three.answer("one", models["one"]) == first
    assert [three.booked(name) for name in THREE] == [1, 0, 0]


def test_after_a_crash_no_noise_is_drawn_anew_and_what_was_drawn_stays_booked(three):
    models = three.trained()
    three.sites["one"].seal(models["one"], 5)  # killed before it was kept
    three.restart("one")
    three.open("one")
    assert framing.header(three.answer("one", models["one"]))["kind"] == ANNOUNCEMENT
    assert three.booked("one") == 1


def test_a_void_round_is_booked_in_full(tmp_path):
    federation = NoisedFederation(tmp_path, THREE | {"four": 3})
    federation.gather()
    assert federation.play(federation.trained(), absent=("four",)) is not None
    assert [federation.booked(name) for name in ("one", "two", "three")] == [1, 1, 1]
    federation.close()


def test_nothing_is_sealed_that_the_ledger_does_not_pay_for(tmp_path):
    federation = NoisedFederation(tmp_path, max_void=0)
    federation.gather()
    models = federation.trained()
    site = federation.sites["one"]
    for number in range(ROUNDS):  # what this data set has spent elsewhere
        site.share.noise.budget.book(number)
    with pytest.raises(BudgetSpent, match="a noised update of round 0"):
        federation.answer("one", models["one"])
    assert site.state.upload is None
    assert federation.booked("one") == ROUNDS
    federation.close()


class Cramped(SharedNoise):
    """A plan that leaves noise no room, as no plan can be written."""

    reach = 0.0


def test_a_noised_value_that_does_not_fit_is_booked_but_never_sent(three):
    models = three.trained()
    site = three.sites["one"]
    shared = site.share.noise.shared
    site.share.noise.shared = Cramped(**{**vars(shared), "noise_multiplier": 5.0})
    with pytest.raises(OverflowError, match="beyond a site's"):
        three.answer("one", models["one"])
    assert three.booked("one") == 1  # booked before it was drawn
    assert site.state.upload is None


# -- settings -----------------------------------------------------------------------------------


def test_noise_is_calibrated_for_all_rounds_and_the_void_ones_beside():
    encryption = Encryption(most_cases=1, max_void=3)
    assert bookings(encryption, 10) == 13
    event = DP.a_round(encryption, 10)
    spent = [accountant.epsilon([event] * n, DP.delta - FAILURE) for n in (13, 14)]
    assert 0.99 * DP.epsilon < spent[0] <= DP.epsilon < spent[1]


def test_noise_is_measured_for_the_fewest_honest_sites_whatever_the_roster():
    shared = DP.shared(Encryption(most_cases=1), 10, 5, 100)
    assert shared.contributors == 7 - 1
    shared = DP.shared(Encryption(most_cases=1, min_sites=10, accomplices=3), 10, 5, 100)
    assert shared.contributors == 10 - 3


@pytest.mark.parametrize("sites", [1, 2])
def test_too_few_sites_for_the_promise_are_refused(sites):
    with pytest.raises(SettingError, match="3 to 93 sites"):
        DP.shared(Encryption(most_cases=1), sites, 5, 100)


def test_one_honest_site_beside_the_accomplices_is_refused():
    with pytest.raises(SettingError, match="fewer than 2 honest sites"):
        DP.shared(Encryption(most_cases=1, accomplices=2), 3, 5, 100)


@pytest.fixture
def plan():
    return plans.read(PLANS / "dp_site.yaml")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("most_cases=100", "Set most_cases: 1 and omit cases"),
        ("cases={one: 5}", "Set most_cases: 1 and omit cases"),
        ("accomplices=0", "accomplices must be 1 or more"),
        ("noise.delta=0.5", "delta must lie between"),
        ("noise.clip_norm=0", "clip_norm must be above 0"),
        ("noise.budget=1", "budget 1 is below epsilon 8"),
        ("noise.when_spent=wait", "when_spent must be one of leave, stop"),
        ("noise.sigma=3", "unknown setting 'sigma'"),
    ],
)
def test_what_would_break_the_promise_is_refused_when_the_plan_is_read(plan, change, reason):
    rules.check(plan)
    plans.change(plan, [f"compression_pipeline.{change}"])
    with pytest.raises(PlanError, match=reason):
        rules.check(plan)


def test_the_shipped_plan_tunes_norms_and_head_and_knows_them_in_the_vector(plan):
    pipeline = plans.build(plan["compression_pipeline"])
    shared, flags = shared_noise(pipeline.noise, pipeline.encryption, Plan(plan), 33)
    assert shared.values == 1432
    assert 0 < sum(flags) < len(flags)
    assert shared.grid(4.0).sigma >= 4
    assert pipeline.noise.warnings(shared, Plan(plan))[0].startswith(
        "33 sites are too few to learn"
    )
    more, _ = shared_noise(pipeline.noise, pipeline.encryption, Plan(plan), 90)
    assert not pipeline.noise.warnings(more, Plan(plan))


def test_training_that_tunes_something_else_is_warned_of(plan):
    plans.change(plan, ["task_runner.local.trainable=[head]"])
    pipeline = plans.build(plan["compression_pipeline"])
    shared, _ = shared_noise(pipeline.noise, pipeline.encryption, Plan(plan), 90)
    (warning,) = pipeline.noise.warnings(shared, Plan(plan))
    assert "task_runner.local tunes head" in warning
    assert "trained in vain" in warning


def test_words_without_a_network_are_refused():
    noise = SiteDP(epsilon=8, delta=1e-3, clip_norm=1, trainable=("head",))
    with pytest.raises(PlanError, match="the plan names no network"):
        shared_noise(noise, Encryption(most_cases=1), PLAN, 3)


def test_the_promise_says_for_whom_it_holds():
    text = DP.describe(10)
    assert "epsilon 8 at delta 0.001 over 10 rounds" in text
    assert "if the other sites add their noise" in text


def test_what_a_site_encodes_is_the_models_slots_and_its_header(three):
    """The pieces in one place: header, frozen values, trainable values in their own steps."""
    three.open("one")
    site = three.sites["one"]
    noise: SiteNoise = site.share.noise
    slots = noise.encode(site.fixed, three.initial, three.initial, 0)
    found = site.fixed.decode(slots.view(np.int64), 1, 3)
    grid = three.grid()
    assert found.count == 1
    assert list(found.exponents) == [site.fixed.exponents(three.initial)[0], grid.exponent]
    whole = site.fixed.whole(three.initial, found.exponents, 3)
    np.testing.assert_array_equal(found.values[three.frozen], whole[three.frozen])
    assert (found.values[three.trainable] != whole[three.trainable]).mean() > 0.9
