"""The commands of workspace/README.md: its blocks ```bash NAME, to be typed as they stand there."""

import re

from scripts.options import ROOT

PAGE = ROOT / "workspace" / "README.md"


def block(name: str) -> str:
    """The commands of one block. ValueError: there is none, or several."""
    found = re.findall(rf"```bash {name}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{PAGE}: expected one block ```bash {name}, found {len(found)}.")
    return found[0]
