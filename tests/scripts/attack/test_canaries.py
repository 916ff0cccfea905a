"""`attack canaries`: the step as it is passes, each seeded fault is caught by what is said."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.attack.canaries import canaries
from scripts.attack.canary_attack import examine, refuse_surprises
from scripts.attack.seeded_faults import subjects
from src.errors import RunFailed

FEW = 4000
SUBJECTS = {subject.name: subject for subject in subjects(FEW, repeats=1)}


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("as it is, one step", []),
        ("as it is, 5 sampled steps", []),
        ("no noise", ["audit", "size"]),
        ("noise divided by the batch", ["audit", "size"]),
        ("gradients not clipped", ["audit"]),
        ("same noise in each round", ["rounds"]),
        ("same noise at each site", ["sites"]),
    ],
)
def test_what_catches_what(name, by):
    found = examine(SUBJECTS[name], np.random.default_rng(0))
    assert found["caught_by"] == by
    assert found["faulty"] is not name.startswith("as it is")


def test_half_the_noise_shows_in_its_size_even_with_few_canaries():
    found = examine(SUBJECTS["half the noise"], np.random.default_rng(0))
    assert "size" in found["caught_by"]
    assert found["noise_size"] == pytest.approx(0.5, abs=0.05)


def row(name: str, faulty: bool, *by: str) -> dict:
    return {"name": name, "faulty": faulty, "caught_by": list(by)}


def test_a_caught_step_and_a_fault_that_got_away_are_errors():
    refuse_surprises([row("as it is", False), row("no noise", True, "audit")])
    with pytest.raises(RunFailed, match=r"step \(as it is\) does not .* caught by noise size"):
        refuse_surprises([row("as it is", False, "size")])
    with pytest.raises(RunFailed, match="no noise: nothing has caught this fault"):
        refuse_surprises([row("no noise", True)])


def test_the_table_lists_every_fault_with_what_caught_it(tmp_path, monkeypatch):
    chosen = [SUBJECTS[name] for name in ("as it is, one step", "no noise")]
    monkeypatch.setattr("scripts.attack.canary_attack.subjects", lambda *_: chosen)
    result = CliRunner().invoke(canaries, ["--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "no noise" in result.output
    assert "audit, noise size" in result.output
    assert "attack-canaries.png" in result.output
    found = json.loads((tmp_path / "attack-canaries.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["as it is, one step", "no noise"]
    assert (tmp_path / "attack-canaries.png").stat().st_size > 5000
