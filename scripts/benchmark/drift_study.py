"""`benchmark drift`: each algorithm on the toy, where nothing but drift keeps it from the optimum.

The toy is `scripts.benchmark.toy`: four unlike sites, softmax regression, all cases in each step.
Two questions: as many steps at every site, and steps that follow the number of cases. One toy, one
learning rate and one setting of each algorithm: this shows what drift is, and orders nothing.
"""

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.progress import track
from rich.table import Table

from scripts.benchmark.toy import excess_by_round, unlike_sites
from scripts.numbers import how_measured, keep_numbers
from scripts.report.figures import INK, SITE_COLOURS, calm
from src.aggregation.fedadam import FedAdam, FedYogi
from src.aggregation.fedavgm import FedAvgM
from src.files import write_atomically
from src.plan.parts import Algorithm
from src.training.fedavg import FedAvg
from src.training.fednova import FedNova
from src.training.fedprox import FedProx
from src.training.local import LocalTraining
from src.training.scaffold import Scaffold
from src.verbs.screen import Screen

SGD: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.0}
EQUAL, BY_CASES = "as many steps at every site", "steps by number of cases"


@dataclass(frozen=True)
class Method:
    """What is compared: an algorithm at the sites, or a rule at the aggregator, or neither.

    algorithm: made for so many steps a round.
    """

    algorithm: Callable[[int], Algorithm] = lambda steps: FedAvg()
    rule: Callable[[], Any] | None = None


QUESTIONS: Mapping[str, Mapping[str, Method]] = {
    EQUAL: {
        "FedAvg": Method(),
        "FedProx, mu 1": Method(lambda steps: FedProx(mu=1.0)),
        "SCAFFOLD": Method(lambda steps: Scaffold()),
        "FedAvgM": Method(rule=FedAvgM),
        "FedAdam": Method(rule=lambda: FedAdam(learning_rate=0.03)),
        "FedYogi": Method(rule=lambda: FedYogi(learning_rate=0.03)),
    },
    BY_CASES: {
        "FedAvg": Method(),
        "FedProx, mu 1": Method(lambda steps: FedProx(mu=1.0)),
        "FedNova": Method(lambda steps: FedNova(steps=steps)),
    },
}


def local_training(question: str, steps: int) -> LocalTraining:
    """So many steps at each site; or by cases, so that a round has as many of all sites together.

    Cases are 10, 6, 2 and 2, of which a step takes two: 5, 3, 1 and 1 step an epoch.
    """
    if question == EQUAL:
        return LocalTraining(steps=steps, learning_rate=0.05, **SGD)
    return LocalTraining(epochs=-(-4 * steps // 10), learning_rate=0.03, **SGD)


def drift(rounds: int, steps: int, seed: int, json_path: Path | None, figure: Path | None) -> None:
    """Measure, print, and keep where that is asked for."""
    console = Screen(markup=True)
    asked = [(question, name) for question, found in QUESTIONS.items() for name in found]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        running = [processes.submit(measure, *one, rounds, steps, seed) for one in asked]
        found = [
            one.result()
            for one in track(running, "drift", console=console, disable=not console.is_terminal)
        ]
    rows = [
        {"question": question, "method": name, "excess": excess}
        for (question, name), excess in zip(asked, found, strict=True)
    ]
    console.print(table(rows))
    keep_numbers(console, json_path, {"steps": steps, "seed": seed, "rows": rows, **how_measured()})
    if figure is not None:
        write_atomically(figure, drawn(rows))
        console.print(f"Figure:  {figure}")


def measure(question: str, name: str, rounds: int, steps: int, seed: int) -> list[float]:
    """Excess loss before the first round and after each."""
    torch.set_num_threads(1)
    method = QUESTIONS[question][name]
    return excess_by_round(
        unlike_sites(seed),
        lambda: method.algorithm(steps),
        local_training(question, steps),
        rounds,
        method.rule() if method.rule else None,
    )


def table(rows: list[dict[str, Any]]) -> Table:
    """Excess loss at a third of the rounds, at two thirds, and at the end."""
    last = len(rows[0]["excess"]) - 1
    moments = sorted({-(-last // 3), -(-2 * last // 3), last})
    shown = Table(box=None, pad_edge=False, title="loss above the optimum", title_justify="left")
    shown.add_column("rounds")
    for moment in moments:
        shown.add_column(str(moment), justify="right")
    for question in QUESTIONS:
        shown.add_section()
        shown.add_row(f"[bold]{question}[/]")
        for row in (row for row in rows if row["question"] == question):
            shown.add_row(row["method"], *(f"{row['excess'][moment]:.2g}" for moment in moments))
    return shown


def drawn(rows: list[dict[str, Any]]) -> bytes:
    """Excess loss by round, on a logarithmic scale, one panel a question, as PNG."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    axes = figure.subplots(1, len(QUESTIONS), sharey=True)
    names = list(dict.fromkeys(row["method"] for row in rows))
    for axis, question in zip(axes, QUESTIONS, strict=True):
        for row in (row for row in rows if row["question"] == question):
            colour = SITE_COLOURS[names.index(row["method"]) % len(SITE_COLOURS)]
            axis.plot(row["excess"], color=colour, linewidth=1.6, label=row["method"])
        axis.set_yscale("log")
        axis.set_title(question, loc="left", fontsize=10, color=INK)
        axis.set_xlabel("rounds", fontsize=9, color=INK)
        calm(axis)
        axis.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=2, loc="upper right")
    axes[0].set_ylabel("loss above the pooled optimum", fontsize=9, color=INK)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
