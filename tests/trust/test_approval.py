"""An approval is for one bundle, one run, by one site; old ones cannot be shown again."""

import importlib.util
import py_compile
import shutil
import sys

import pytest

from src.errors import Refused
from src.trust import approval, bundle, members
from src.trust.approval import changes, verify
from tests import ceremonies
from tests.ceremonies import approve, hand_out, open_desk


@pytest.fixture
def site(parties):
    return parties / "one"


def read(site, clock):
    listed = members.read(site, clock())
    return listed, bundle.read(site).digest, (site / approval.FILE).read_bytes()


def test_an_approval_names_site_run_and_bundle(site, clock):
    listed, digest, content = read(site, clock)
    found = verify(content, listed.site("one"), listed.run, digest, name="x")
    assert found["approved"] == clock().isoformat()


def test_an_approval_of_an_older_bundle_is_refused(site, clock):
    listed, _, content = read(site, clock)
    (site / "src" / "model_vector.py").write_text("# changed\n")
    with pytest.raises(Refused, match=r"is for bundle .*, expected .*approve -n one"):
        verify(content, listed.site("one"), listed.run, bundle.read(site).digest, name="x")


def test_an_approval_of_an_older_run_is_refused(parties, site, clock):
    old = (site / approval.FILE).read_bytes()
    hand_out(open_desk(parties / "desk", clock), parties, clock, new_run=True)
    listed, digest, _ = read(site, clock)
    with pytest.raises(Refused, match="is for run"):
        verify(old, listed.site("one"), listed.run, digest, name="x")


def test_another_sites_approval_is_refused(parties, site, clock):
    listed, digest, _ = read(site, clock)
    other = (parties / "two" / approval.FILE).read_bytes()
    with pytest.raises(Refused, match="signature is not by"):
        verify(other, listed.site("one"), listed.run, digest, name="x")
    with pytest.raises(Refused, match="signature is not by"):
        verify(read(site, clock)[2], listed.site("two"), listed.run, digest, name="x")


def test_differences_from_the_last_approved_bundle_are_shown_line_by_line(site):
    assert changes(site, bundle.read(site)) == []
    path = site / "plan" / "plan.yaml"
    path.write_text(path.read_text().replace("rounds_to_train: 10", "rounds_to_train: 99"))
    (site / "src" / "new.py").write_text("x = 1\n")
    shown = changes(site, bundle.read(site))
    assert shown[:2] == ["changed: plan/plan.yaml", "new: src/new.py"]
    assert "-    rounds_to_train: 10" in shown
    assert "+    rounds_to_train: 99" in shown
    assert "+x = 1" in shown


def test_nothing_is_compared_where_nothing_was_approved(site):
    shutil.rmtree(site / approval.FOLDER)
    assert changes(site, bundle.read(site)) == []
    assert approval.last_approved(site) is None


def test_compiled_code_that_came_with_a_bundle_is_removed_before_it_can_run(
    site, tmp_path, clock, monkeypatch
):
    """The attack: the .py is what was read, the .pyc beside it something else, never checked."""
    source = site / "src" / "model_vector.py"
    evil = tmp_path / "evil.py"
    evil.write_text("PWNED = True\n")
    compiled = importlib.util.cache_from_source(str(source))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(evil), compiled, invalidation_mode=mode)
    before = bundle.read(site).digest

    def runs_evil() -> bool:
        spec = importlib.util.spec_from_file_location("victim", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return hasattr(module, "PWNED")

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert runs_evil()  # Python runs it although the source is another
    approve(site, "one", clock)
    assert bundle.read(site).digest == before
    assert not runs_evil()


def test_only_the_sites_own_key_approves(parties, site, clock):
    shutil.copy2(parties / "two/cert/client/col_two.key", site / "cert/client/col_one.key")
    with pytest.raises(Refused, match="is not the key of one"):
        ceremonies.approve(site, "one", clock)
