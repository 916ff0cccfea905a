"""`attack canaries`: does the private step spend more than it claims, and would we notice?

The training step of `plan/dp.yaml`'s part is examined as it is, and then with one seeded fault at a
time: by the audit with canaries and by checks of its noise. The step must pass, and no fault may.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from scripts.attack import figures, findings
from scripts.attack.noise_checks import are_independent, correlation, has_size
from scripts.attack.one_run_audit import audit
from scripts.attack.seeded_faults import DELTA, EPSILON, Subject, subjects
from scripts.options import quoted
from src.errors import RunFailed

SEEN_BY = {
    "audit": "audit",
    "size": "noise size",
    "rounds": "two rounds' noise",
    "sites": "two sites' noise",
}


def canaries(canaries: int, repeats: int, seed: int, run: Path | None, out: Path | None) -> None:
    """Audit the private training step by canaries, and seeded faults of it."""

    console = findings.console()
    rows = []
    for number, subject in enumerate(subjects(canaries, repeats)):
        with console.status(subject.name):
            rng = np.random.default_rng([seed, number])
            rows.append(examine(subject, rng))
    found = {"epsilon": EPSILON, "delta": DELTA, "rows": rows}
    console.print(table(rows))
    console.print(
        f"\nClaimed: epsilon {EPSILON:g} at delta {DELTA:g}. The audit's figure is what a step has "
        "spent at least, at 95 %\nconfidence: above the claim it disproves it, below it proves "
        "nothing. The accountant's proof bounds from above."
    )
    figure = figures.canaries(found)
    following = "attack inversion" + (f" --run {quoted(run)}" if run else "")
    findings.keep(console, "canaries", found, figure, out=out, run=run, following=following)
    refuse_surprises(rows)


def examine(subject: Subject, rng: Any) -> dict[str, Any]:
    """The subject's figures, and what has caught it."""

    part, nobody = subject.part, np.zeros(subject.canaries, bool)
    audited = audit(
        lambda included: subject.step(included, 0, 0),
        canaries=subject.canaries,
        delta=part.delta,
        rng=rng,
        repeats=subject.repeats,
    )
    here, later, elsewhere = (subject.step(nobody, *which) for which in ((0, 0), (0, 1), (1, 0)))
    checks: dict[str, Callable[[], bool]] = {
        "audit": lambda: audited.lower_bound <= part.epsilon,
        "size": lambda: has_size(here, subject.deviation),
        "rounds": lambda: are_independent(here, later),
        "sites": lambda: are_independent(here, elsewhere),
    }
    return {
        "name": subject.name,
        "faulty": subject.faulty,
        **vars(audited),
        "noise_size": float(np.sqrt(np.mean(np.square(here)))) / subject.deviation,
        "correlation_rounds": correlation(here, later),
        "correlation_sites": correlation(here, elsewhere),
        "caught_by": [name for name, passes in checks.items() if not passes()],
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """The steps as a table, one a line."""
    shown = Table(box=None, pad_edge=False)
    for title in ("step", "canaries", "right", "epsilon ≥", "noise", "rounds", "sites"):
        shown.add_column(title, justify="left" if title == "step" else "right", no_wrap=True)
    shown.add_column("caught by")
    for row in rows:
        shown.add_row(
            row["name"],
            f"{row['canaries']:,}",
            f"{row['right'] / row['guesses']:.0%}",
            f"{row['lower_bound']:.2f}",
            f"{row['noise_size']:.2f}",
            f"{row['correlation_rounds']:.2f}",
            f"{row['correlation_sites']:.2f}",
            ", ".join(SEEN_BY[name] for name in row["caught_by"]) or "-",
        )
    return shown


def refuse_surprises(rows: list[dict[str, Any]]) -> None:
    """RunFailed if the step as it is was caught, or a fault was not."""
    for row in rows:
        if row["faulty"] and not row["caught_by"]:
            raise RunFailed(f"{row['name']}: nothing has caught this fault. Take more --canaries.")
        if not row["faulty"] and row["caught_by"]:
            seen = ", ".join(SEEN_BY[name] for name in row["caught_by"])
            raise RunFailed(
                f"The private step ({row['name']}) does not do what it claims: caught by {seen}. "
                "Do not train with it; run this again, and if it stays, look for the fault."
            )
