"""`pretrain`: initial weights for a plan, from public or synthetic patients."""

from pathlib import Path

import click

from scripts import options


@click.command()
@options.plan
@options.data
@options.kind
@options.seed
@options.changes
@click.option("--cases", default=24, show_default=True, help="Synthetic patients, without --data.")
@click.option(
    "--hospital",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of which synthetic hospital they are; `simulate` uses 0, 1, 2 …",
)
@click.option("--steps", default=400, show_default=True, type=click.IntRange(min=10))
@click.option("--learning-rate", default=0.05, show_default=True)
@options.out
def pretrain(
    plan_path: Path,
    data: Path | None,
    kind: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    cases: int,
    hospital: int,
    steps: int,
    learning_rate: float,
    out: Path | None,
) -> None:
    """Initial weights for a plan: `simulate --init FILE`, or `fx plan initialize -i FILE`.

    --data must be public. Without it, synthetic patients are made and thrown away again.
    """
    from scripts.local.pretraining import pretrain as work

    work(plan_path, data, kind, seed, changes, cases, hospital, steps, learning_rate, out)
