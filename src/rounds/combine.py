"""How the sites' models become the next: the plan's rule, behind two checks.

A rule is any class with `combine(models, weights)`; it sees no site's name. One that also has
`step` goes on from there, with the model before the round and what it has kept.
"""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from src.errors import RunFailed
from src.plan.parts import Rule
from src.training.memory import Memory

OF_MODEL = "of model"  # beside a rule's state: the digest of the model that it led to


def combine(rule: Rule, sent: Mapping[str, tuple[np.ndarray, float]], *, where: str) -> np.ndarray:
    """The next model from {site: (model, weight)}, in the order of names: one order, one result.

    where: round and tensor, for the message. RunFailed: shapes differ, or a value is not finite.
    """
    sites = sorted(sent)
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
    return rule.combine([sent[site][0] for site in sites], [sent[site][1] for site in sites])


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
    combined = combine(rule, sent, where=where)
    step = getattr(rule, "step", None)
    if step is None:
        return combined
    start, recalled = before(), memory.recall(round_number)
    state = dict(recalled.after if recalled.counted else recalled.before)
    of_model = state.pop(OF_MODEL, None)
    if recalled.lost or (of_model is not None and (of_model != _digest(start)).any()):
        raise RunFailed(
            f"{where}: {type(rule).__name__} goes on from what it kept in the round before, and "
            f"{memory.path} is not that. Restore local_state/ whole, or start a new run."
        )
    after, new = step(start, combined, state)
    old = state if of_model is None else state | {OF_MODEL: of_model}
    memory.keep(round_number, before=old, after=new | {OF_MODEL: _digest(after)})
    return after


def _digest(model: np.ndarray) -> np.ndarray:
    content = np.ascontiguousarray(model, np.float32).tobytes()
    return np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
