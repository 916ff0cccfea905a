"""`attack canaries`: does the private step spend more than it claims, and would we notice?"""

from typing import Any

import click

from scripts.attack import findings


@click.command()
@click.option(
    "--canaries", default=20_000, show_default=True, type=click.IntRange(min=1000), help="A run."
)
@click.option(
    "--repeats",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs that the audit takes together, where it needs many canaries.",
)
@findings.seed
@findings.run
@findings.out
def canaries(**chosen: Any) -> None:
    """Audit the private training step by canaries, and seeded faults of it."""
    from scripts.attack.canary_attack import canaries as work

    work(**chosen)
