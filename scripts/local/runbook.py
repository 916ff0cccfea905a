"""The commands of workspace/README.md: its blocks ```bash NAME, to be typed as they stand there."""

import re

from scripts.options import ROOT
from src.errors import InputError

PAGE = ROOT / "workspace" / "README.md"


def block(name: str) -> str:
    """The commands of one block. InputError: there is none, or several."""
    found = re.findall(rf"```bash {name}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if len(found) != 1:
        raise InputError(f"{PAGE}: expected one block ```bash {name}, found {len(found)}.")
    return found[0]
