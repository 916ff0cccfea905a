"""The report of a run: one page to look at, one JSON file to script against, the figures as PNG."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from scripts.partition.made import PICTURE
from scripts.report import attacked, figures
from scripts.report.baselines import gains, read_baselines
from scripts.report.run_record import REGIONS_AND_MEAN, read_run, told_once
from src.files import write_atomically

TEMPLATE = Path(__file__).with_name("report.html.j2")
DOTS_PER_INCH = 150


def write_report(run: Path) -> Path:
    """Write run/report/ (index.html, report.json, *.png); return the path of the page.

    The page holds everything that it shows. A run that ended early has a report, too.
    InputError: the folder holds no run.
    """
    record = read_run(run)
    folder = run / "report"
    write_atomically(folder / "report.json", json.dumps(record, indent=2))
    pictures = _pictures(run, [site["name"] for site in record["sites"]])
    sites = len(record["sites"])
    record = told_once(record)
    drawn = {"dice": figures.dice_by_round(record), "cost": figures.cost_by_round(record)}
    drawn |= {f"cases-{name}": figures.cases(arrays) for name, arrays in pictures.items()}
    pngs = {name: as_png(figure) for name, figure in drawn.items()}
    if (run / PICTURE).is_file():
        pngs["partition"] = (run / PICTURE).read_bytes()
    for name, png in pngs.items():
        write_atomically(folder / f"{name}.png", png)
    coded = {name: base64.b64encode(png).decode() for name, png in pngs.items()}
    rows = gains(record["final"], read_baselines(run))
    page = _page(record, sites, coded, list(pictures), attacked.section(folder), rows)
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def _pictures(run: Path, names: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """The slices that each site kept, where this machine is also the site's."""
    found = {}
    for name in names:
        for path in sorted((run / name).glob("**/evaluation/slices.npz")):
            with np.load(path) as arrays:
                if "images_0" in arrays:
                    found[name] = dict(arrays)
    return found


def as_png(figure: Figure) -> bytes:
    """The figure as a file: ink on a transparent ground, or on black."""
    buffer = io.BytesIO()
    on_black = figure.get_facecolor()[:3] == (0, 0, 0)
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, transparent=not on_black)
    return buffer.getvalue()


def _page(
    record: dict[str, Any],
    sites: int,
    pngs: dict[str, str],
    pictures: list[str],
    attacked: Markup,
    gains: list[dict[str, Any]],
) -> str:
    """The page from its template."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    last = record["rounds"][-1] if record["rounds"] else {"sites": {}}
    measured = {
        name: site["dice"] for name, site in last["sites"].items() if site["dice"] is not None
    }
    worst = min(measured, key=lambda name: measured[name]["mean"], default=None)
    if len(measured) < 2:
        worst = None  # of one there is no lowest
    return template.render(
        record=record,
        sites=sites,
        run=record["run"],
        pngs=pngs,
        pictures=pictures,
        attacked=attacked,
        gains=gains,
        regions=REGIONS_AND_MEAN,
        worst=worst,
        dice=measured,
        mean_wt=float(np.mean([dice["WT"] for dice in measured.values()])) if measured else None,
        lowest={
            region: min((site["dice"][region] for site in record["final"].values()), default=None)
            for region in REGIONS_AND_MEAN
        },
        furthest={
            region: max((s["hd95_mm"][region] for s in record["final"].values()), default=None)
            for region in REGIONS_AND_MEAN
        },
        megabytes=sum(r["bytes_up"] + r["bytes_down"] for r in record["rounds"]) / 1e6,
    )
