"""`show`: what an engineer looks at before signing."""

from pathlib import Path

import click
from rich.table import Table

from src.printable import printable
from src.trust import fingerprint
from src.trust.certificate import utc_now
from src.trust.review import review
from src.verbs import options
from src.verbs.options import console
from src.verbs.screen import words


@click.command()
@options.workspace
def show(workspace: Path) -> None:
    """Show what would run here: rounds, what leaves, who takes part, what has changed."""
    found = review(workspace, utc_now())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in found.facts:
        table.add_row(printable(name), printable(text))
    console.print(table)
    _show_changes(found.changes)
    if found.members is None:
        console.print("\nNo member list yet: nothing to approve. Next: certificates, from the desk")
        return
    people = Table("member", "role", "certificate SHA-256", "good until (UTC)", box=None)
    for member in found.members.members:
        until = f"{member.certificate.not_valid_after_utc:%F %H:%M}"
        people.add_row(printable(member.name), member.role.name, member.sha256[:32] + "…", until)
    console.print()
    console.print(people)
    console.print(words("\nAuthority: ", fingerprint.words(found.root)), soft_wrap=True)
    console.print(f"Bundle:    {found.digest}", soft_wrap=True)
    console.print(words("Words:     ", fingerprint.words(found.digest)), soft_wrap=True)
    console.print("Next:      compare both rows of words by telephone, then python -m src approve")


def _show_changes(changes: list[str] | None) -> None:
    console.print()
    if changes is None:
        console.print("Nothing was approved in this folder before: read all of plan/ and src/.")
        return
    console.print(f"Since the last approval {len(changes) or 'no'} lines differ.")
    for line in changes:
        console.print(f"  {printable(line)}", soft_wrap=True)
