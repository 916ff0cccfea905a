"""`attack membership`: whom it compares, on a run and on given folders, and what it says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from openfl.protocols import utils

from scripts.attack.groups import given, hospital_of, of_run, patients
from scripts.attack.membership import membership
from scripts.attack.membership_attack import Losses, compare
from scripts.options import ROOT
from src.data.layouts import find_cases
from src.data.preprocess import prepared
from src.engines.openfl.pipeline import PlainPipeline
from src.errors import InputError
from src.model.unet import GliomaUNet
from src.model_vector import TENSOR, Manifest
from src.plan import plan as plans
from tests.scripts.report.conftest import finished_run  # noqa: F401

PLAN = plans.read(ROOT / "plan" / "plain.yaml")


def write_model(path: Path) -> Path:
    state = {name: tensor.numpy() for name, tensor in GliomaUNet().state_dict().items()}
    vector = Manifest.of(state).pack(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    utils.dump_proto(utils.construct_model_proto({TENSOR: vector}, 0, PlainPipeline()), str(path))
    return path


@pytest.fixture
def run(finished_run, phantom_sites) -> Path:  # noqa: F811
    """A finished run of two synthetic sites, whose model has learnt nothing."""
    for name in ("one", "two"):
        folder = finished_run / name / "workspace" / "data"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(phantom_sites[name])
    home = finished_run / "aggregator/workspace"
    (home / "plan").mkdir()
    (home / "plan" / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    for model in ("init", "final"):
        write_model(home / "save" / f"{model}.pbuf")
    return finished_run


def cases(folder: Path, cache: Path) -> list:
    return [prepared(files, cache) for files in find_cases(folder, "brats2021")]


# -- whom it compares ------------------------------------------------------------------------------


def test_members_are_whom_the_sites_own_loader_trains_on(run, tmp_path):
    groups = of_run(run, PLAN, tmp_path / "cache", new=2, seed=0)
    assert list(groups) == ["one", "two"]
    for name, total in (("one", 5), ("two", 3)):
        data = plans.build(
            PLAN["data_loader"], data_path=str(run / name / "workspace" / "data" / name)
        )
        assert [case.case_id for case in groups[name].members] == [
            files.case_id for files in data.train_files
        ]
        assert len(groups[name].members) + len(groups[name].held_out) == total
        assert len(groups[name].new) == 2


def test_new_patients_are_of_the_same_hospital_on_the_same_grid(phantom_sites, tmp_path):
    own = cases(phantom_sites["two"], tmp_path)
    assert hospital_of(phantom_sites["two"], own) == 1
    (made,) = patients(1, 1, seed=0, like=own[0])
    assert made.full_shape == own[0].full_shape
    assert made.spacing_mm == pytest.approx(own[0].spacing_mm)
    assert not any(np.array_equal(made.images, case.images) for case in own)


def test_real_or_mixed_patients_get_no_new_ones(phantom_sites, tmp_path):
    mixed = [cases(phantom_sites[name], tmp_path)[0] for name in ("one", "two")]
    assert hospital_of(phantom_sites["one"], mixed) is None
    real = tmp_path / "real"
    real.mkdir()
    (real / "dataset.yaml").write_text("kind: brats2021\nsynthetic: false\n")
    assert hospital_of(real, mixed[:1]) is None


def copied(source: Path, to: Path, numbers: slice) -> Path:
    """Some of a site's cases, as a folder of their own."""
    to.mkdir(parents=True)
    for files in find_cases(source, "brats2021")[numbers]:
        shutil.copytree(files.folder, to / files.folder.name)
    shutil.copy(source / "dataset.yaml", to)
    return to


def test_given_folders_are_compared_site_by_site(phantom_sites, tmp_path):
    one = phantom_sites["one"]
    members = copied(one, tmp_path / "members" / "one", slice(0, 3)).parent
    others = copied(one, tmp_path / "others" / "one", slice(3, 5)).parent
    (groups,) = given(members, others, None, tmp_path / "cache").values()
    assert (len(groups.members), len(groups.held_out)) == (3, 2)
    with pytest.raises(InputError, match="one: 3 patients are members and others at once"):
        given(members, one, None, tmp_path / "cache")
    with pytest.raises(InputError, match="Give the same sites"):
        given(members, one.parent, None, tmp_path / "cache")


# -- what it makes of the losses -------------------------------------------------------------------


def losses(shift: float, seed: int, others: int = 40) -> Losses:
    rng = np.random.default_rng(seed)
    return Losses(rng.normal(-shift, 1, 20), rng.normal(size=others))


def compared(by_model) -> dict:
    return compare(by_model, np.random.default_rng(0))


def test_each_site_is_told_and_all_of_them_together():
    found = compared(
        {
            "initial": {"one": losses(0, 1), "two": losses(0, 2)},
            "final": {"one": losses(2, 3), "two": losses(0, 4)},
        }
    )
    low = {name: site["final"]["low"] for name, site in found["sites"].items()}
    assert low["one"] > 0.5 > low["two"]
    assert found["pooled"]["is_evidence"]
    assert (found["pooled"]["members"], found["pooled"]["others"]) == (40, 80)
    assert found["sites"]["one"]["found_at_false_positive_rate"] == {}  # 40 others are too few


def test_members_who_are_easy_for_an_untrained_model_too_are_no_evidence():
    easy = losses(2, 1)
    little = Losses(easy.members - 0.01, easy.others - 0.01)
    found = compared({"initial": {"one": easy}, "final": {"one": little}})
    assert found["pooled"]["final"]["low"] > 0.5
    assert not found["pooled"]["is_evidence"]
    assert compared({"final": {"one": little}})["pooled"]["is_evidence"]  # nobody knows better


def test_a_loss_that_fell_further_for_members_is_evidence_where_loss_alone_is_none():
    hard = Losses(np.linspace(0, 9, 20), np.linspace(0, 9, 40))
    fallen = Losses(hard.members - 1, hard.others)
    found = compared({"initial": {"one": hard}, "final": {"one": fallen}})["pooled"]
    assert found["final"]["low"] < 0.5 < found["fall"]["low"]
    assert found["is_evidence"]


def test_many_others_allow_a_rate_of_false_positives():
    found = compared({"final": {"one": losses(3, 1, others=120)}})
    assert found["sites"]["one"]["found_at_false_positive_rate"]["0.1"] > 0.5


def test_a_site_without_others_is_left_out_and_none_is_an_error():
    lonely = losses(1, 1, others=0)
    found = compared({"final": {"one": lonely, "two": losses(0, 2)}})
    assert list(found["sites"]) == ["two"]
    with pytest.raises(InputError, match="nothing to compare"):
        compared({"final": {"one": lonely}})


# -- the verb --------------------------------------------------------------------------------------


def test_a_run_gets_a_section_in_its_report(run):
    result = CliRunner().invoke(membership, ["--run", str(run), "--new", "2"])
    assert result.exit_code == 0, result.output
    found = json.loads((run / "report" / "attack-membership.json").read_text())
    assert found["sites"]["one"]["members"] + found["sites"]["one"]["others"] == 5 + 2
    assert set(found["pooled"]) >= {"initial", "final", "fall"}
    assert "<h2>Attacked</h2>" in (run / "report" / "index.html").read_text()
    assert "0.5 is a coin" in " ".join(result.output.split())
    assert f"attack inversion --run {run}" in " ".join(result.output.split())


def test_a_model_alone_is_attacked_with_given_folders(phantom_sites, tmp_path):
    one = phantom_sites["one"]
    members = copied(one, tmp_path / "members", slice(0, 3))
    others = copied(one, tmp_path / "others", slice(3, 5))
    words = ["--model", str(write_model(tmp_path / "model.pbuf")), "--members", str(members)]
    words += ["--others", str(others), "--plan", str(ROOT / "plan" / "plain.yaml")]
    result = CliRunner().invoke(membership, [*words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "attack-membership.json").read_text())
    assert "initial" not in found["pooled"]
    assert (found["pooled"]["members"], found["pooled"]["others"]) == (3, 2)


def test_nothing_to_attack_is_said():
    result = CliRunner().invoke(membership, [])
    assert result.exit_code == 2
    assert "Give --run, or --model, --members and --others" in result.output
