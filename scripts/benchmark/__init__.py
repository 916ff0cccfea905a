"""`benchmark`: measure this kit, and others beside it, in one run on one machine."""

from importlib import import_module

import click

BENCHMARKS = {"overhead": "Seconds, CPU, bytes and memory of a round without training."}


class Benchmarks(click.Group):
    """Imports a benchmark only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The benchmarks, sorted."""
        return sorted(BENCHMARKS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The benchmark's command, or None where there is none of that name."""
        if cmd_name not in BENCHMARKS:
            return None
        return getattr(import_module(f"scripts.benchmark.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the benchmarks without importing any."""
        with formatter.section("Benchmarks"):
            formatter.write_dl(sorted(BENCHMARKS.items()))


benchmark = Benchmarks(name="benchmark", help=__doc__)
