"""`request-encryption-key`: ask the desk for a certificate of the site's second key."""

from pathlib import Path

import click

from src.trust import encryption_key, fingerprint
from src.verbs import options
from src.verbs.options import console
from src.verbs.screen import words


@click.command("request-encryption-key")
@options.name
@options.workspace
def request_encryption_key(name: str, workspace: Path) -> None:
    """Add the site's second key to its certificate request, and print the words for the desk."""
    sha256 = encryption_key.request(workspace, name)
    package = workspace / f"col_{name}_to_agg_cert_request.zip"
    console.print(f"Request:     {package}   (carry it to the desk)", soft_wrap=True)
    console.print(f"Fingerprint: {sha256}", soft_wrap=True)
    console.print(words("Words:       ", fingerprint.words(sha256)), soft_wrap=True)
    console.print("Next:        read the words to the desk by telephone")
