"""The picture of a partition: what each site got, one row a site and one panel a property."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.partition.differences import Distance
from scripts.partition.patients import FIELD, Patient, value
from scripts.report.figures import INK, SITE_COLOURS, calm

TITLES = {"volume": "whole tumour, ml", "age": "age, years", "grade": "grade", "scanner": "scanner"}
SEED = 0  # of the dots' places across their row


def partition_figure(
    sites: Mapping[str, Sequence[Patient]], distances: Mapping[str, Distance]
) -> Figure:
    """Numbers of patients, then every property in which the sites could differ."""
    figure = Figure(figsize=(10.5, 1.4 + 0.42 * len(sites)), layout="constrained")
    panels = figure.subplots(1, 1 + len(distances), sharey=True, squeeze=False)[0]
    rows = np.arange(len(sites))[::-1]
    panels[0].barh(rows, [len(own) for own in sites.values()], color=SITE_COLOURS[0], height=0.6)
    panels[0].set_yticks(rows, list(sites))
    _titled(panels[0], "patients")
    for axis, name in zip(panels[1:], distances, strict=True):
        values = [[value(patient, name) for patient in own] for own in sites.values()]
        (_dots if FIELD[name] in ("volume_ml", "age") else _shares)(axis, rows, values)
        _titled(axis, f"{TITLES[name]}\ndistance {distances[name].mean:.2f}")
    return figure


def _dots(axis: Axes, rows: np.ndarray, values: list[list]) -> None:
    """A dot for each patient, a line at the median."""
    rng = np.random.default_rng(SEED)
    for row, own in zip(rows, values, strict=True):
        axis.scatter(
            own, row + rng.uniform(-0.2, 0.2, len(own)), s=8, alpha=0.6, color=SITE_COLOURS[0]
        )
        axis.vlines(np.median(own), row - 0.32, row + 0.32, color=INK)


def _shares(axis: Axes, rows: np.ndarray, values: list[list]) -> None:
    """Each group's share of a site, one after the other."""
    groups = sorted({one for own in values for one in own})
    left = np.zeros(len(rows))
    for number, group in enumerate(groups):
        share = np.array([own.count(group) / len(own) for own in values])
        colour = SITE_COLOURS[number % len(SITE_COLOURS)]
        axis.barh(rows, share, left=left, color=colour, height=0.6, label=str(group))
        left += share
    if len(groups) <= len(SITE_COLOURS):
        axis.legend(
            frameon=False,
            fontsize=7,
            labelcolor=INK,
            ncols=3,
            loc="upper left",
            bbox_to_anchor=(0, -0.1),
            borderaxespad=0,
        )


def _titled(axis: Axes, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=9, color=INK)
    calm(axis)
    axis.grid(axis="y", visible=False)
