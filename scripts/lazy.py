"""A group of commands that imports one only when it is asked for, so that --help is fast."""

from importlib import import_module

import click


class LazyGroup(click.Group):
    """commands: name -> its one-line help. The command `x` is `x` in the module `<package>.x`."""

    def __init__(self, package: str, verbs: dict[str, str], **settings) -> None:
        super().__init__(**settings)
        self.package = package
        self.verbs = dict(sorted(verbs.items()))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None where there is none of that name."""
        if cmd_name not in self.verbs:
            return None
        return getattr(import_module(f"{self.package}.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(self.verbs.items()))
