"""`python -m scripts <verb>`: what the desk of a consortium does. Verbs load when called."""

import sys
from importlib import import_module

import click

VERBS = {
    "benchmark": "Measure this kit, and others beside it.",
    "evaluate": "Score a trained model on data, and rebuild a run's report.",
    "prepare": "Make site folders from a data set, or synthetic patients.",
    "simulate": "Run a whole federation on this machine, from data to report.",
    "workspace": "Build an OpenFL workspace from a plan, for plain `fx`.",
}


class Verbs(click.Group):
    """Imports a verb's module only when that verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, sorted."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        return getattr(import_module(f"scripts.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))


@click.command(cls=Verbs, help=__doc__)
def main() -> None:
    """The group itself does nothing."""


if __name__ == "__main__":
    try:
        main(prog_name="python -m scripts")
    except (ValueError, OSError) as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(1)
