"""Classes read from their source: what a plan may name, and that nothing is run to find out."""

import shutil
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import yaml

from src.errors import PlanError
from src.plan import plan as plans
from src.plan import rules
from src.plan.declared import declared
from src.plan.signature import arguments
from src.plan.sources import Sources

ROOT = Path(__file__).resolve().parents[2]
PLANS = ROOT / "plan"


def readme_example() -> str:
    """The whole algorithm of plan/README.md's section on new parts."""
    section = (PLANS / "README.md").read_text().partition("## A new part")[2]
    return section.partition("```python\n")[2].partition("```")[0]


EXAMPLE = readme_example()


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A workspace with the kit's code."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".workspace").touch()
    return tmp_path


@pytest.fixture
def plan():
    return plans.read(PLANS / "plan.yaml")


def checked(plan, bundle: Path, template: str, **settings) -> None:
    part = {"template": template, "settings": settings}
    plan["task_runner"]["settings"]["algorithm"] = part
    rules.check(plan, sources=Sources.of(bundle))


@pytest.mark.parametrize("path", ["src/training/mine.py", "mylab/algorithms.py"])
def test_a_new_algorithm_is_one_file_and_one_plan(plan, bundle, path):
    (bundle / path).parent.mkdir(exist_ok=True)
    mark = bundle / "it-ran"
    (bundle / path).write_text(f"{EXAMPLE}\nopen({str(mark)!r}, 'w')\n")
    module = path.removesuffix(".py").replace("/", ".")
    checked(plan, bundle, f"{module}.MeanOfSteps", skip=10)
    with pytest.raises(PlanError, match=r"unknown setting 'skop'; did you mean 'skip'"):
        checked(plan, bundle, f"{module}.MeanOfSteps", skop=10)
    assert not mark.exists()
    assert module not in sys.modules


OUTSIDE = [
    *("os.system", "subprocess.Popen", "builtins.eval", "posix.system", "runpy.run_path"),
    *("pathlib.Path", "torch.nn.Linear", "monai.losses.DiceLoss", "openfl.federated.Plan"),
    *("save.evil.Mine", "data.evil.Mine", "plan.evil.Mine", "approvals.approved.src.errors.X"),
    *("yaml.YAMLObject", "numpy.memmap", "__main__.X"),
]


@pytest.mark.parametrize("template", OUTSIDE)
def test_what_lies_outside_the_code_cannot_be_named(plan, bundle, template):
    place = bundle / (template.rpartition(".")[0].replace(".", "/") + ".py")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"class {template.rpartition('.')[2]}:\n    pass\n")  # a file of that name
    with pytest.raises(PlanError, match="lies outside the code"):
        checked(plan, bundle, template)


@pytest.mark.parametrize("top", ["scripts", "certs", "tests", "mylab"])
def test_the_kit_itself_has_no_parts_but_those_of_src(top):
    assert not Sources.of(ROOT).allows(f"{top}.anything")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("src.trust.gate.Path", "only imports Path. Name the module that defines it"),
        ("src.trust.gate.logger", "logger is no class"),
        ("src.trust.fingerprint.words", "words is no class"),
        ("src.training.mine.Twice", "Twice is bound 2 times"),
        ("src.training.mine.Inner.Deep", "no module src.training.mine.Inner"),
        ("src.training.mine.Missing", "no 'Missing'"),
        (f"src.{'x' * 300}.Mine", "no module src.xxx"),  # no file can be called so
        ("src.training.broken.Mine", "not readable as Python"),
        ("src..training.Mine", "must be a dotted class path"),
        ("src.training/../mine.Mine", "must be a dotted class path"),
        ("src.__pycache__.mine.Mine", "must be a dotted class path"),
        ("src", "must be a dotted class path"),
        (["src.training.mine.Mine"], "must be a dotted class path"),
        (None, "must be a dotted class path"),
    ],
    ids=str,
)
def test_a_template_is_a_class_that_its_module_defines(plan, bundle, template, words):
    (bundle / "src/training/mine.py").write_text(
        "class Inner:\n    class Deep:\n        pass\n"
        "class Twice:\n    pass\nif True:\n    import os as Twice\n"
    )
    (bundle / "src/training/broken.py").write_text("class Mine(:\n")
    with pytest.raises(PlanError, match=words):
        checked(plan, bundle, template)


def test_a_compiled_module_beside_a_source_is_refused(plan, bundle):
    (bundle / f"src/training/fedavg{EXTENSION_SUFFIXES[0]}").touch()
    with pytest.raises(PlanError, match="Python would load it instead of a source"):
        rules.check(plan, sources=Sources.of(bundle))


def test_what_was_read_must_be_what_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "errors.py").write_text("class PlanError:\n    pass\n")
    monkeypatch.setattr("src.plan.sources.RUNNING", Sources(tmp_path))
    with pytest.raises(PlanError, match=r"expected the class that .* defines, got .*Nothing was"):
        plans.load_template("src.errors.PlanError")


def test_no_part_is_built_before_every_part_was_checked(plan, tmp_path):
    plan["compression_pipeline"]["settings"]["bits"] = 20  # found by building the settings
    plan["tasks"]["train"]["aggregation_type"]["settings"]["rule"]["template"] = "os.system"
    with pytest.raises(PlanError, match=r"rule: template os\.system lies outside"):
        rules.check(plan)


def test_parts_in_lists_are_parts(plan):
    plan["data_loader"]["settings"]["patches"]["settings"]["size"] = [
        {"template": "subprocess.Popen", "settings": {}}
    ]
    with pytest.raises(PlanError, match=r"size\.0: template subprocess\.Popen lies outside"):
        rules.check(plan)


def test_a_section_without_a_template_would_be_openfls_own(plan):
    del plan["aggregator"]["template"]
    with pytest.raises(PlanError, match="aggregator: template is missing"):
        rules.check(plan)


def test_every_shipped_plan_is_checked_without_importing_what_it_names():
    import subprocess

    code = (
        "import sys\nfrom pathlib import Path\nfrom src.plan import plan, rules\n"
        "for name in sys.argv[1:]: rules.check(plan.read(Path(name)))\n"
        "print(sorted({'torch', 'openfl', 'grpc', 'monai'} & set(sys.modules)))"
    )
    names = [str(path) for path in PLANS.glob("*.yaml") if "task_runner" in path.read_text()]
    command = [sys.executable, "-c", code, *names]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_the_arguments_of_a_dataclass_are_its_fields(bundle):
    (bundle / "src/training/mine.py").write_text(
        "from dataclasses import dataclass, field\nfrom typing import ClassVar\n"
        "@dataclass\nclass Above:\n    a: int\n    b: int = 1\n"
        "@dataclass(frozen=True)\nclass Mine(Above):\n"
        "    KIND: ClassVar[str] = 'x'\n    c: list = field(default_factory=list)\n"
        "    d: int = field(init=False)\n    a: int = 3\n"
    )
    found = arguments("src.training.mine.Mine", Sources.of(bundle))
    assert (found.all, found.needed) == ({"a", "b", "c"}, set())


def test_what_another_librarys_constructor_takes_is_not_guessed(plan, bundle):
    (bundle / "src/training/mine.py").write_text(
        "import torch\nclass Mine(torch.nn.Linear):\n    pass\n"
    )
    assert arguments("src.training.mine.Mine", Sources.of(bundle)).open
    assert declared({"template": "src.training.mine.Mine"}, Sources.of(bundle)).leaves is None


def test_a_plan_that_is_yaml_of_any_kind_ends_in_words(plan, bundle):
    plan["task_runner"]["settings"]["algorithm"] = yaml.safe_load("{template: {a: b}}")
    with pytest.raises(PlanError, match="must be a dotted class path"):
        rules.check(plan, sources=Sources.of(bundle))
