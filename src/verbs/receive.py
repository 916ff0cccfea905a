"""`receive`: unpack what the desk has sent, once its signatures hold."""

from pathlib import Path

import click

from src.trust import fingerprint, package
from src.trust.certificate import utc_now
from src.verbs import options
from src.verbs.options import console
from src.verbs.screen import words


@click.command()
@click.argument(
    "file", metavar="PACKAGE", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@options.workspace
@click.option("--new-authority", is_flag=True, help="Accept another authority than before.")
def receive(file: Path, workspace: Path, new_authority: bool) -> None:
    """Take a package or a newer revocation list from the desk."""
    received = package.receive(file, workspace, utc_now(), new_root=new_authority)
    for path in received.files:
        console.print(f"  {path}", soft_wrap=True)
    if received.root_is_new:
        root = fingerprint.words(fingerprint.of_certificate(received.root))
        console.print(words("Authority: ", root), soft_wrap=True)
        console.print("Compare these words with the desk by telephone. Next: python -m src show")
