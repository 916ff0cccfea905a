"""What `benchmark privacy` has found: its rows, as a table for the terminal and as a figure."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from scripts.attack.membership_inference import pooled_auc
from scripts.report.figures import INK, PANELS, SITE_COLOURS, calm

PRETRAINED, PLAIN = "pretrained only", "not private, all parameters"
CELLS = ("WT", "TC", "ET", "mean")


def summaries(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each name: mean and standard deviation over the seeds.

    dice, spread: by region and for their mean.
    gain, gain_spread: in mean Dice, over the pretrained network of the same seed.
    membership_auc, membership_low, membership_high: of the attack, pooled over seeds and hospitals,
        with its 95 % interval.
    """

    zero = {run["seed"]: run["dice"]["mean"] for run in runs if run["name"] == PRETRAINED}
    rows = []
    for name in dict.fromkeys(run["name"] for run in runs):
        same = [run for run in runs if run["name"] == name]
        pairs = [
            (np.array(site["members"]), np.array(site["others"]))
            for run in same
            for site in run["losses"].values()
        ]
        auc = pooled_auc(pairs, rng=np.random.default_rng(0))
        gains = [run["dice"]["mean"] - zero[run["seed"]] for run in same]
        rows.append(
            {
                "name": name,
                "epsilon": same[0].get("epsilon"),
                "noise_multiplier": same[0].get("noise_multiplier"),
                "dice": {c: float(np.mean([r["dice"][c] for r in same])) for c in CELLS},
                "spread": {c: float(np.std([r["dice"][c] for r in same], ddof=1)) for c in CELLS},
                "gain": float(np.mean(gains)),
                "gain_spread": float(np.std(gains, ddof=1)),
                "membership_auc": auc.value,
                "membership_low": auc.low,
                "membership_high": auc.high,
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as a table for the terminal."""
    shown = Table(box=None, pad_edge=False)
    for title in (
        "",
        "noise",
        *(f"Dice {cell}" for cell in CELLS),
        "gain",
        "membership AUC (95 %)",
    ):
        shown.add_column(title, justify="left" if not title else "right")
    for row in rows:
        noise = row["noise_multiplier"]
        shown.add_row(
            row["name"],
            "–" if noise is None else f"{noise:.2f}",
            *(f"{row['dice'][cell]:.3f} ± {row['spread'][cell]:.3f}" for cell in CELLS),
            f"{row['gain']:+.3f} ± {row['gain_spread']:.3f}",
            "{membership_auc:.2f} ({membership_low:.2f}–{membership_high:.2f})".format(**row),
        )
    return shown


def drawn(rows: Sequence[dict[str, Any]]) -> bytes:
    """A PNG with one panel for each region: Dice against epsilon.

    Horizontal lines show the pretrained network and training without privacy.
    """

    figure = Figure(figsize=(10.5, 3.1), layout="constrained", facecolor="white")
    levels = [row for row in rows if row["epsilon"] is not None]
    words = [row["name"].removeprefix("epsilon ") for row in levels]
    lines = {PRETRAINED: (SITE_COLOURS[6], ":"), PLAIN: (SITE_COLOURS[1], "--")}
    for axis, (region, title) in zip(figure.subplots(1, 3, sharey=True), PANELS, strict=True):
        axis.errorbar(
            range(len(levels)),
            [row["dice"][region] for row in levels],
            [row["spread"][region] for row in levels],
            color=SITE_COLOURS[0],
            marker="o",
            capsize=3,
            label="private training",
        )
        for row in rows:
            if row["name"] in lines:
                colour, style = lines[row["name"]]
                axis.axhline(row["dice"][region], color=colour, linestyle=style, label=row["name"])
        axis.set_xticks(range(len(levels)), words)
        axis.set_xlabel("epsilon of each patient", fontsize=9, color=INK)
        axis.set_title(f"{region} · {title}", loc="left", fontsize=10, color=INK)
        calm(axis)
    figure.axes[0].set_ylabel("Dice, held-out synthetic patients", fontsize=9, color=INK)
    figure.axes[0].legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
