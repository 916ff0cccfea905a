"""`request-words`: the twelve words of a certificate request, to compare by telephone."""

from pathlib import Path

import click

from src import pem_door
from src.errors import InputError, WireError
from src.trust import fingerprint
from src.verbs.options import console
from src.verbs.screen import words


@click.command("request-words")
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def request_words(request: Path) -> None:
    """Print the words of a request made by `fx aggregator generate-cert-request`."""
    try:
        found = pem_door.request(request.read_bytes())
    except WireError as error:
        raise InputError(f"{request}: expected a certificate request in PEM: {error}") from error
    sha256 = fingerprint.of_requests(found)
    console.print(f"Fingerprint: {sha256}", soft_wrap=True)
    console.print(words("Words:       ", fingerprint.words(sha256)), soft_wrap=True)
    console.print("Next:        carry the file to the desk, read it the words by telephone")
