"""A group of commands that imports one only when it is asked for, so that --help is fast."""

import sys
import traceback
from importlib import import_module
from typing import Any

import click

from src.errors import InputError, RunFailed


class LazyGroup(click.Group):
    """A group that knows its verbs by name and one-line help, and loads each when it is called.

    The verb `a-b` of the package `p` is the command `a_b` in the module `p.a_b`.
    """

    def __init__(self, package: str, verbs: dict[str, str], **settings) -> None:
        super().__init__(**settings)
        self.package = package
        self.verbs = dict(sorted(verbs.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. Click says "Aborted!" of every end of input; here it says of which.

        InputError: a question could not be asked. RunFailed: a file or process ended too early.
        """
        try:
            return super().invoke(ctx)
        except click.Abort:
            if sys.stdin is not None and sys.stdin.isatty():  # Ctrl-C at a question
                raise
            raise InputError(
                "There is a question to be answered, and nobody at a keyboard to answer it. Give "
                "the answer as an option (see --help), or type the command on a terminal."
            ) from None
        except EOFError as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise RunFailed(
                f"What was being read ended too early, a file or another process of this command: "
                f"{error or 'EOFError'} ({where.filename}, line {where.lineno})."
            ) from error

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
