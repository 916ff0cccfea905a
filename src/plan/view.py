"""A plan as it is read: typed, frozen, every question asked by name.

`src.plan.plan` reads, unfolds and changes the mapping; whoever only wants to know something of it
asks a `Plan`. The mapping stays within reach, as `raw`, for OpenFL and for what walks all parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import PlanError
from src.plan import plan as plans
from src.plan.plan import Section

Part = Mapping[str, Any]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """raw: the complete mapping of sections, as `plan.read` gives it."""

    raw: Mapping[str, Section]

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """The plan in a file. PlanError: it cannot be read."""
        return cls(plans.read(path))

    def settings(self, section: str) -> Settings:
        """A section's settings; none where it has none."""
        return self.raw[section].get("settings") or {}

    # -- the run -------------------------------------------------------------------------------

    @property
    def rounds(self) -> int:
        """Rounds of training; one more validates the final model."""
        return self.settings("aggregator")["rounds_to_train"]

    @property
    def init_weights(self) -> str:
        """The initial model's file, from the workspace's root."""
        return self.settings("aggregator")["init_state_path"]

    @property
    def address(self) -> str:
        """The aggregator's host, as its certificate names it."""
        return self.settings("network")["agg_addr"]

    @property
    def port(self) -> int:
        """The aggregator's TCP port."""
        return int(self.settings("network")["agg_port"])

    # -- what travels, and what becomes of it --------------------------------------------------

    @property
    def pipeline(self) -> Part:
        """How a model becomes bytes."""
        return self.raw["compression_pipeline"]

    @property
    def noise(self) -> Part | None:
        """What noises an update before it is encrypted; none in most plans."""
        return self.settings("compression_pipeline").get("noise")

    @property
    def rule(self) -> Part | None:
        """How the trained models become the next one; None: by OpenFL's own weighted mean."""
        for task in self.raw["tasks"].values():
            aggregation = task.get("aggregation_type") or {}
            if rule := (aggregation.get("settings") or {}).get("rule"):
                return rule
        return None

    # -- a site ----------------------------------------------------------------------------------

    @property
    def gate(self) -> Part:
        """What a site checks before it starts, and at every call."""
        return self.settings("collaborator")["gate"]

    @property
    def loader(self) -> Part:
        """How a site's data are read."""
        return self.raw["data_loader"]

    @property
    def runner(self) -> Settings:
        """All that the task runner is given; a foreign runner has settings of its own."""
        return self.settings("task_runner")

    def part(self, name: str) -> Part:
        """A part of the task runner. PlanError: this plan's runner has none of that name."""
        found = self.runner.get(name)
        if not found:
            raise PlanError(f"task_runner: expected the part {name!r}; this plan names none.")
        return found

    @property
    def seed(self) -> int:
        """Of the initial weights and of sampling."""
        return self.runner["seed"]

    @property
    def device(self) -> str:
        """Where a site computes: auto, cpu, cuda …"""
        return self.runner.get("device", "auto")

    @property
    def precision(self) -> str:
        """How it computes: auto, fp32 or bf16."""
        return self.runner.get("precision", "auto")

    @property
    def model(self) -> Part:
        """The network. PlanError: the task runner brings its own."""
        return self.part("model")

    @property
    def loss(self) -> Part:
        """What training minimises."""
        return self.part("loss")

    @property
    def local(self) -> Part:
        """How a site trains in a round."""
        return self.part("local")

    @property
    def reported_metrics(self) -> Part:
        """Which numbers leave a site beside the model."""
        return self.part("reported_metrics")

    @property
    def trainable(self) -> tuple[str, ...] | None:
        """Words for the parameters that local training moves; None: all."""
        local = self.runner.get("local") or {}
        words = (local.get("settings") or {}).get("trainable")
        return None if words is None else tuple(words)
