"""Every verb, file and template that a docstring, a README or a plan names is there."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from scripts.__main__ import main as scripts_main
from src.__main__ import main as src_main

ROOT = Path(__file__).resolve().parent.parent
ROOMS = "src|scripts|certs|plan|workspace|tests"
VERB = re.compile(r"python -m (src|scripts)((?:\s+[a-z][a-z_-]*)*)")
SHORT = re.compile(r"`(?:scripts )?((?:attack|audit|benchmark|certify|ledger) [a-z][a-z_-]*)")
DOTTED = re.compile(r"(?<![\w./-])(?:src|scripts|certs)(?:\.[A-Za-z_]\w*)+")
PATH = re.compile(rf"(?:(?<![\w./-])|(?<=\$KIT/))(?:{ROOMS})/[\w./*-]*")
FILE = re.compile(r"`([a-z]\w*\.(?:py|ya?ml))`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
# Files of a hospital's own; names that were once right, and names that must not be there.
OF_A_USER = {"dataset.yaml", "src.training.mean_of_steps.MeanOfSteps"}
OTHER_NAMES = {"src/plan/moved.py", "scripts/attack/hostile_bundles.py"}


@cache
def tracked() -> list[str]:
    """Paths of the repository's files, those not yet added to git among them."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in found.stdout.split("\n") if (ROOT / path).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """(path, text) of everything that is read by people or names a part of the kit."""
    for path in tracked():
        room = path.split("/")[0]
        readable = path.endswith(".md") or room in ("plan", "workspace") or path == "scripts/demo"
        code = path.endswith(".py") and room in ("src", "scripts", "certs")
        if path not in OTHER_NAMES and (readable or code):
            yield path, (ROOT / path).read_text()


def wrong_names(text: str, path: str = "README.md") -> list[str]:
    """What `text`, in the file `path`, names and the repository has not."""
    wrong = [f"python -m {kit}{verbs}" for kit, verbs in VERB.findall(text) if not verb(kit, verbs)]
    wrong += [
        short for short in SHORT.findall(text) if not (verb("scripts", short) or verb("src", short))
    ]
    wrong += [name for name in DOTTED.findall(text) if not template(name)]
    unlinked = re.sub(r"\]\([^)]*\)", "]", text)  # links are relative to their file
    wrong += [
        name for name in PATH.findall(unlinked) if name not in OF_A_USER and not on_disk(name)
    ]
    if path.endswith(".md"):
        names = {Path(name).name for name in tracked()} | OF_A_USER
        wrong += [name for name in FILE.findall(text) if name not in names]
        wrong += [f"{to}#{place}" for to, place in LINK.findall(text) if not link(path, to, place)]
    return wrong


@cache
def verb(kit: str, words: str) -> bool:
    """Whether these words begin with a command; a group must be followed by one of its own."""
    command: click.Command | None = {"src": src_main, "scripts": scripts_main}[kit]
    for word in words.split():
        if not isinstance(command, click.Group):
            break
        try:
            command = command.get_command(click.Context(command), word)
        except (ImportError, AttributeError):  # a table names it, but no file has it
            return False
        if command is None:
            return False
    return True


@cache
def template(name: str) -> bool:
    """Whether a dotted name is a module, or something that a module defines."""
    parts = name.split(".")
    if name in OF_A_USER:
        return True
    for end in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:end])
        if place.is_dir():
            return end == len(parts)
        if place.with_suffix(".py").is_file():
            return defined(ast.parse(place.with_suffix(".py").read_text()).body, parts[end:])
    return False


def defined(body: list[ast.stmt], names: list[str]) -> bool:
    """Whether the statements define the first name, and what it holds the next."""
    if not names:
        return True
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == names[0]:
            return defined(statement.body, names[1:])
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(t, ast.Name) and t.id == names[0] for t in targets):
            return len(names) == 1
    return False


@cache
def on_disk(name: str) -> bool:
    """Whether a path or a pattern of the repository leads to something."""
    name = name.rstrip(".")
    if name in OF_A_USER:
        return True
    return any(ROOT.glob(name)) if "*" in name else (ROOT / name).exists()


def link(path: str, to: str, place: str) -> bool:
    """Whether a link in the file `path` leads to a file and, if it says so, to a heading there."""
    target = (ROOT / path).parent / to if to else ROOT / path
    if not target.exists() or not place:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    return place in [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings]


def test_everything_that_is_named_exists():
    wrong = [f"{path}: {name}" for path, text in texts() for name in wrong_names(text, path)]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "see `python -m src leger show`",
        "see `python -m src ledger shown`",
        "python -m scripts simulat --rounds 3",
        "`certify isue`",
        "`scripts benchmark speed`",
        "template: src.training.fedavg.FedAverage",
        "template: src.privacy.dp_sgd.PatientDPSGD",
        "`src.training.local.LocalTraining.at_home`",
        "see `src/privacy/dp_sgd.py`",
        "cp $KIT/workspace/requirement.txt .",
        "plan/defaults/*.yml",
        "see `weighted_means.py`",
        "[privacy](plan/dpp.yaml)",
        "[costs](plan/README.md#what-it-costs)",
    ],
)
def test_a_wrong_name_is_found(text):
    assert wrong_names(text)


@pytest.mark.parametrize(
    "text",
    [
        "`python -m src ledger show -n $SITE`, or python -m src doctor: a table",
        "`certify issue` and `scripts benchmark overhead --peers`",
        "src.training.local.LocalTraining.at_site, src.engines.openfl",
        "$KIT/workspace/requirements.txt, plan/*.yaml, `weighted_mean.py`.",
        "[grammar](plan/README.md#grammar) [here](LICENSE) [there](https://example.org/a#b)",
        "openfl/transport/grpc/common.py and ../other/src/x.py are not ours",
    ],
)
def test_a_right_name_is_not(text):
    assert wrong_names(text) == []
