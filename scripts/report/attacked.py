"""The report's section on attacks: what `scripts attack` has left in the report's folder."""

import base64
import json
from pathlib import Path

import jinja2
from markupsafe import Markup

TEMPLATE = Path(__file__).with_name("attacked.html.j2")
ATTACKS = ("membership", "inversion", "canaries")


def section(folder: Path) -> Markup:
    """The section with figures and numbers of the attacks that were carried out; empty if none was.

    folder: holds attack-<name>.json and .png of each.
    """
    paths = {name: folder / f"attack-{name}.json" for name in ATTACKS}
    there = {
        name: path
        for name, path in paths.items()
        if path.is_file() and path.with_suffix(".png").is_file()
    }
    if not there:
        return Markup()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    rendered = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        attacks={
            name: json.loads(path.read_text(encoding="utf-8")) for name, path in there.items()
        },
        pngs={
            name: base64.b64encode(path.with_suffix(".png").read_bytes()).decode()
            for name, path in there.items()
        },
    )
    return Markup(rendered)
