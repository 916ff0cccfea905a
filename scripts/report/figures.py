"""The report's figures: Dice by round, cost by round, and pictures of cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Okabe & Ito's palette, told apart by colour-blind readers too (jfly.uni-koeln.de/color)
SITE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
REGION_COLOURS = {"WT": "#009E73", "TC": "#F0E442", "ET": "#D55E00"}
INK, FAINT = "#3b4048", "#d9dce1"
PANELS = (("WT", "whole tumour"), ("TC", "tumour core"), ("ET", "enhancing tumour"))


def dice_by_round(record: Mapping[str, Any]) -> Figure:
    """One panel for each region, one line for each site; the lowest site is drawn thick."""
    figure = Figure(figsize=(10.5, 3.1), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    names = [site["name"] for site in record["sites"]]
    for axis, (region, words) in zip(axes, PANELS, strict=True):
        curves = {name: _curve(record, name, region) for name in names}
        worst = min(curves, key=lambda name: _last(curves[name]), default=None)
        if len(curves) < 2:
            worst = None
        for number, (name, curve) in enumerate(curves.items()):
            axis.plot(
                range(len(curve)),
                curve,
                color=SITE_COLOURS[number % len(SITE_COLOURS)],
                linewidth=2.6 if name == worst else 1.3,
                marker="o",
                markersize=3,
                label=f"{name} (lowest)" if name == worst else name,
            )
        axis.set_title(f"{region} · {words}", loc="left", fontsize=10, color=INK)
        axis.set_xlabel("training rounds", fontsize=9, color=INK)
        axis.set_ylim(0, 1)
        calm(axis)
        if curves:
            axis.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    axes[0].set_ylabel("Dice of the shared model", fontsize=9, color=INK)
    return figure


def _curve(record: Mapping[str, Any], name: str, region: str) -> list[float]:
    """Dice after 0, 1, 2 … rounds, with a gap where a site was not measured."""
    dices = [record["initial"].get(name, {}).get("dice")]
    dices += [entry["sites"].get(name, {}).get("dice") for entry in record["rounds"]]
    return [np.nan if dice is None else dice.get(region, np.nan) for dice in dices]


def _last(curve: list[float]) -> float:
    """The last measured value of a curve; inf if nothing was measured."""
    measured = [value for value in curve if np.isfinite(value)]
    return measured[-1] if measured else np.inf


def cost_by_round(record: Mapping[str, Any]) -> Figure:
    """Seconds and megabytes of each round."""
    figure = Figure(figsize=(10.5, 2.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    rounds = [entry["round"] for entry in record["rounds"]]
    left.bar(rounds, [entry["seconds"] or 0 for entry in record["rounds"]], color=SITE_COLOURS[0])
    left.set_title("seconds a round", loc="left", fontsize=10, color=INK)
    for offset, key, words in ((-0.2, "bytes_up", "from sites"), (0.2, "bytes_down", "to sites")):
        right.bar(
            [number + offset for number in rounds],
            [entry[key] / 1e6 for entry in record["rounds"]],
            width=0.38,
            label=words,
            color=SITE_COLOURS[1 if offset < 0 else 2],
        )
    right.set_title("megabytes a round, all sites", loc="left", fontsize=10, color=INK)
    right.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        ncols=2,
        loc="lower right",
        bbox_to_anchor=(1, 1),  # beside the title, so that it hides no bar
        borderaxespad=0,
    )
    for axis in (left, right):
        axis.set_xlabel("training round", fontsize=9, color=INK)
        calm(axis)
    return figure


def calm(axis) -> None:
    """Give the axes the house's plain look: horizontal lines, no frame."""
    axis.grid(axis="y", color=FAINT, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    for side in axis.spines.values():
        side.set_visible(False)


def cases(pictures: Mapping[str, np.ndarray]) -> Figure:
    """A site's kept slices: T1ce, FLAIR, label and prediction, one row a case."""
    count = sum(key.startswith("images_") for key in pictures)
    figure = Figure(figsize=(10.5, 2.9 * count), layout="constrained", facecolor="black")
    for k, row in enumerate(figure.subplots(count, 4, squeeze=False)):
        t1ce, flair = pictures[f"images_{k}"][[1, 3]]
        across, along = pictures[f"spacing_{k}"]
        dice = zip(REGION_COLOURS, pictures[f"dice_{k}"], strict=True)
        titles = ["T1ce", "FLAIR", "label", "  ".join(f"{r} {value:.2f}" for r, value in dice)]
        overlays = [None, None, pictures[f"reference_{k}"], pictures[f"prediction_{k}"]]
        images = [t1ce, flair, flair, flair]
        for axis, image, regions, title in zip(row, images, overlays, titles, strict=True):
            shown = grey(image)
            axis.imshow(shown if regions is None else filled(shown, regions))
            axis.set_aspect(along / across)
            axis.set_title(title, loc="left", fontsize=9, color="#e8eaed")
            axis.axis("off")
    return figure


def grey(image: np.ndarray) -> np.ndarray:
    """The image as radiologists look at it, (y, x, RGB): front up, patient's right on the left."""
    brain = image[image != 0]
    low, high = np.percentile(brain, [1, 99.5]) if brain.size else (0, 1)
    shown = np.where(image != 0, np.clip((image - low) / max(high - low, 1e-6), 0, 1), 0)
    return np.repeat(shown.T[..., None], 3, axis=2)


def filled(shown: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The picture with each region's own part in its colour: WT without TC, TC without ET, ET."""
    picture = shown.copy()
    for region, colour in zip(regions, REGION_COLOURS.values(), strict=True):
        inside = region.T.astype(bool)
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        picture[inside] = 0.4 * shown[inside] + 0.6 * rgb
    return picture
