"""A group of commands that imports one only when it is asked for, so that --help is fast."""

from importlib import import_module

import click


class LazyGroup(click.Group):
    """A group that knows its verbs by name and one-line help, and loads each when it is called.

    The verb `a-b` of the package `p` is the command `a_b` in the module `p.a_b`.
    """

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
        module = cmd_name.replace("-", "_")
        return getattr(import_module(f"{self.package}.{module}"), module)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(self.verbs.items()))
