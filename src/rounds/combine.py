"""How the sites' models become the next: the plan's rule, behind two checks.

A rule is any class with `combine(models, weights)`; it sees no site's name. One that also has
`combine_around` is given the model before the round, too; one that has `step` goes on from there,
with what it has kept. One that has `sites_needed` is never given fewer models.
"""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from src.errors import RunFailed
from src.plan.parts import Rule
from src.training.memory import Memory

OF_MODEL = "of model"  # beside a rule's state: the digest of the model that it led to


def combine(
    rule: Rule,
    sent: Mapping[str, tuple[np.ndarray, float]],
    *,
    where: str,
    centre: np.ndarray | None = None,
) -> np.ndarray:
    """The next model from {site: (model, weight)}, in the order of names: one order, one result.

    where: round and tensor, for the message. centre: what a rule that looks at changes starts from.
    RunFailed: too few sites for the rule, shapes differ, or a value is not finite.
    """
    sites = sorted(sent)
    check_enough(rule, len(sites), f"{where}: ")
    shape = sent[sites[0]][0].shape
    for site in sites:
        model, _ = sent[site]
        if model.shape != shape:
            raise RunFailed(
                f"{where}: site {site} sent shape {model.shape}, site {sites[0]} sent {shape}."
            )
        if not np.isfinite(model).all():
            raise RunFailed(
                f"{where}: site {site} sent values that are not finite. Its training diverged: "
                "lower the learning rate, or look at its log."
            )
    models, weights = [sent[site][0] for site in sites], [sent[site][1] for site in sites]
    around = getattr(rule, "combine_around", None)
    if around is None or centre is None:
        return rule.combine(models, weights)
    return around(centre, models, weights)


def check_enough(rule: Rule | None, sites: int, where: str = "") -> None:
    """RunFailed: a rule that withstands so many liars does not with so few sites."""
    needed = getattr(rule, "sites_needed", 0)
    if sites < needed:
        raise RunFailed(
            f"{where}{type(rule).__name__} needs {needed} sites to withstand "
            f"liars: {getattr(rule, 'liars', '?')}; there are {sites}. Lower liars in tasks.train, "
            "take a rule that needs fewer sites (plan/README.md), or enrol more."
        )


def next_model(
    rule: Rule,
    sent: Mapping[str, tuple[np.ndarray, float]],
    *,
    where: str,
    round_number: int,
    before: Callable[[], np.ndarray],
    memory: Memory,
) -> np.ndarray:
    """As `combine`; a rule with a state goes its step from there.

    before: gives the model with which the round began.
    memory: of the aggregator. Its two versions make a round that is ended again, after the process
        was killed, end as it did.
    RunFailed: what was kept is not of this run's last round.
    """
    step = getattr(rule, "step", None)
    if step is None:
        centre = before() if hasattr(rule, "combine_around") else None
        return combine(rule, sent, where=where, centre=centre)
    check_enough(rule, len(sent), f"{where}: ")
    start, recalled = before(), memory.recall(round_number)
    state = dict(recalled.after if recalled.counted else recalled.before)
    of_model = state.pop(OF_MODEL, None)
    if recalled.lost or (of_model is not None and (of_model != _digest(start)).any()):
        raise RunFailed(
            f"{where}: {type(rule).__name__} goes on from what it kept in the round before, and "
            f"{memory.path} is not that. Restore local_state/ whole, or start a new run."
        )
    centre = getattr(rule, "centre", lambda start, state: start)(start, state)
    combined = combine(rule, sent, where=where, centre=centre)
    after, new = step(start, combined, state)
    old = state if of_model is None else state | {OF_MODEL: of_model}
    memory.keep(round_number, before=old, after=new | {OF_MODEL: _digest(after)})
    return after


def _digest(model: np.ndarray) -> np.ndarray:
    content = np.ascontiguousarray(model, np.float32).tobytes()
    return np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
