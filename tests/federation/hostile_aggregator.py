"""`fx`, at an aggregator that asks for more than its sites' plan: `hostile_aggregator.py MODE …`.

Nothing of its bundle is changed, so that every site's approval holds; its process alone is.
"""

import sys
from pathlib import Path


def more(self, site, original):
    """Each answer names one task more, which the plan defines for another round."""
    tasks, number, wait_s, over = original(self, site)
    return [*tasks, "final_validation"] if tasks else tasks, number, wait_s, over


def again(self, site, original):
    """Each site is asked three times for the validation that it has answered."""
    tasks, number, wait_s, over = original(self, site)
    if tasks == ["train"] and self.asked.get((site, number), 0) < 3:
        self.asked[site, number] = self.asked.get((site, number), 0) + 1
        tasks = ["aggregated_model_validation"]
    return tasks, number, wait_s, over


def first(self, site, original):
    """The first task of a round is asked for by itself, and then as `again` does."""
    tasks, number, wait_s, over = again(self, site, original)
    return tasks[:1] if tasks else tasks, number, wait_s, over


MODES = {"more": more, "first": first}

if __name__ == "__main__":
    mode = MODES[sys.argv.pop(1)]
    sys.path.insert(0, str(Path.cwd()))
    from src.engines.openfl.aggregator import Aggregator

    original = Aggregator.get_tasks
    Aggregator.asked = {}
    Aggregator.get_tasks = lambda self, site: mode(self, site, original)
    from openfl.interface import cli

    sys.argv[0] = str(Path(sys.executable).with_name("fx"))
    cli.entry()
