"""The attacks' figures: audit bounds beside the claim, membership by site, images from updates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scripts.report.figures import FAINT, INK, SITE_COLOURS, calm, filled, grey
from src.data.case import SEQUENCES

SAFE, FOUND = SITE_COLOURS[0], SITE_COLOURS[1]
ON_BLACK = "#e8eaed"
NOISE = {"size": "its size", "rounds": "two rounds'", "sites": "two sites'"}
SCORES = {  # of membership: words, colour, place beside the others
    "initial": ("loss, initial model", SITE_COLOURS[-1], 0.22),
    "final": ("loss, final model", SITE_COLOURS[0], 0.0),
    "fall": ("fall of the loss", SITE_COLOURS[4], -0.22),
}
SHOWN = ("t1ce", "flair")  # sequences of which a slice is drawn


def canaries(found: Mapping[str, Any]) -> Figure:
    """A bar for each step: the epsilon that it has at least spent, and what caught its fault."""
    rows = found["rows"]
    figure = Figure(figsize=(10.5, 0.7 + 0.3 * len(rows)), layout="constrained")
    axis = figure.subplots()
    places = range(len(rows))[::-1]
    bounds = [row["lower_bound"] for row in rows]
    colours = [FOUND if bound > found["epsilon"] else SAFE for bound in bounds]
    axis.barh(places, bounds, color=colours, height=0.6)
    for place, row in zip(places, rows, strict=True):
        by = row["caught_by"]
        elsewhere = (
            f", but seen in the noise: {', '.join(NOISE[name] for name in by if name in NOISE)}"
        )
        words = f"  {row['lower_bound']:.2f}" + (elsewhere if by and "audit" not in by else "")
        axis.text(row["lower_bound"], place, words, va="center", fontsize=8, color=INK)
    axis.axvline(found["epsilon"], color=INK, linewidth=1.2)
    axis.set_yticks(places, [row["name"] for row in rows])
    axis.set_xlim(0, max(*bounds, found["epsilon"]) * 1.35)
    axis.set_title(
        f"epsilon spent at least, by the audit; the line is the claim, {found['epsilon']:g}",
        loc="left",
        fontsize=10,
        color=INK,
    )
    _calm_sideways(axis)
    return figure


def membership(found: Mapping[str, Any]) -> Figure:
    """The area under the curve with its interval, for each site and for all; 0.5 is a coin."""
    names = list(found["sites"])
    rows = [*found["sites"].values(), found["pooled"]]
    figure = Figure(figsize=(10.5, 0.9 + 0.4 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for score, (words, colour, shift) in SCORES.items():
        told = [(place, row[score]) for place, row in enumerate(rows[::-1]) if score in row]
        if not told:
            continue
        values = np.array([[auc["low"], auc["auc"], auc["high"]] for _, auc in told])
        places = np.array([place for place, _ in told]) + shift
        axis.hlines(places, values[:, 0], values[:, 2], color=colour, linewidth=2.2)
        axis.plot(values[:, 1], places, "o", color=colour, markersize=6, label=words)
    axis.axvline(0.5, color=INK, linewidth=1.2)
    axis.set_yticks(range(len(rows)), ["all sites", *names[::-1]])
    axis.set_xlim(0, 1)
    axis.set_title(
        "chance that who was trained on has the lower loss; 0.5 is a coin",
        loc="left",
        fontsize=10,
        color=INK,
    )
    axis.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower left")
    _calm_sideways(axis)
    return figure


def _calm_sideways(axis) -> None:
    calm(axis)
    axis.grid(visible=False, axis="y")
    axis.grid(axis="x", color=FAINT, linewidth=0.7)


def inversion(
    titles: Sequence[str], images: Sequence[np.ndarray], regions: Sequence[np.ndarray]
) -> Figure:
    """The truth and each guess side by side: a slice of T1ce, of FLAIR, and the label.

    images: (4, X, Y, Z) each, the truth first.
    regions: bool (3, X, Y, Z) each. The slice is the one with most of the true tumour core.
    """
    areas = regions[0][1].sum((0, 1)) if regions[0][1].any() else regions[0][0].sum((0, 1))
    plane = int(areas.argmax())
    figure = Figure(figsize=(1.5 * len(titles), 5.0), layout="constrained", facecolor="black")
    rows = figure.subplots(len(SHOWN) + 1, len(titles), squeeze=False)
    for column, (title, volume, label) in enumerate(zip(titles, images, regions, strict=True)):
        slices = [grey(volume[SEQUENCES.index(name)][..., plane]) for name in SHOWN]
        pictures = [*slices, filled(slices[-1], label[..., plane])]
        for axis, picture in zip(rows[:, column], pictures, strict=True):
            axis.imshow(picture)
            axis.axis("off")
        rows[0, column].set_title(title, fontsize=8, color=ON_BLACK)
    for row, name in zip(rows[:, 0], ("T1ce", "FLAIR", "label"), strict=True):
        row.text(-0.1, 0.5, name, rotation=90, va="center", fontsize=8, color=ON_BLACK,
                 transform=row.transAxes)  # fmt: skip
    return figure
