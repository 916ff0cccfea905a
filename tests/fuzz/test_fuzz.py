"""Whatever comes, a parser reads it or refuses it with a reason; nothing else, and in bounded time.

`FUZZ_INPUTS=25000 pytest -m fuzz --timeout 0` is the long run, by hand: so many inputs a parser.
"""

import json
import os
import traceback
from collections import Counter

import numpy as np
import pytest

from src.errors import KitError
from tests.ceremonies import ROOT
from tests.fuzz.parsers import Parser, of_files, of_the_ceremony, of_the_federation

pytestmark = pytest.mark.fuzz
INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def leaks_of(parser: Parser, inputs: int, seed: int) -> tuple[Counter[str], int]:
    """(exceptions that are no refusal, by type and place; how many inputs were refused)."""
    leaks: Counter[str] = Counter()
    refused = 0
    for number in range(inputs):
        content = parser.changed(np.random.default_rng([seed, number]))
        try:
            parser.read(content)
        except KitError as error:
            refused += bool(str(error))  # a refusal gives a reason
        except Exception as error:  # noqa: BLE001 - what leaks is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            leaks[f"{type(error).__name__} at {last.filename}:{last.lineno}: {error!s:.80}"] += 1
    return leaks, refused


def check(parsers: dict[str, Parser]) -> None:
    found = {}
    for name, parser in parsers.items():
        for content in parser.good():
            parser.read(content)  # so that what is refused is refused for its change
        leaks, refused = leaks_of(parser, INPUTS, SEED)
        print(f"{name:24} {INPUTS} inputs, {refused} refused, {sum(leaks.values())} leaked")
        assert refused > INPUTS / 4, f"{name}: the changes change nothing: {leaks}"
        if leaks:
            found[name] = dict(leaks)
    assert found == {}


def test_messages_between_sites_and_aggregator_are_read_or_refused(three):
    check(of_the_federation(three))


def test_files_between_desk_and_parties_are_read_or_refused(encrypted_parties):
    check(of_the_ceremony(encrypted_parties))


def test_plans_and_tensors_are_read_or_refused(tmp_path):
    check(of_files(ROOT / "plan" / "plan.yaml", tmp_path))


def test_a_parser_that_leaks_is_found():
    """The harness itself: an old way of reading a list, which a mapping or a number breaks."""
    sloppy = Parser(
        lambda content: [entry["name"] for entry in json.loads(content)["members"]],
        [{"members": [{"name": "one"}]}],
        lambda value: json.dumps(value).encode(),
    )
    leaks, _ = leaks_of(sloppy, 200, 1)
    assert {leak.partition(" ")[0] for leak in leaks} >= {"TypeError", "KeyError"}
