"""`pretrain`: initial weights for a plan, from public or synthetic patients."""

from typing import Any

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
def pretrain(**chosen: Any) -> None:
    """Initial weights for a plan: `simulate --init FILE`, or `fx plan initialize -i FILE`.

    --data must be public. Without it, synthetic patients are made and thrown away again.
    """
    from scripts.local.pretraining import pretrain as work

    work(**chosen)
