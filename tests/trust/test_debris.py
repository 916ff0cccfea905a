"""What desktops and editors leave in a workspace is told as such; no name makes anything run."""

import shutil

import pytest

from src.errors import Refused
from src.trust import bundle, debris
from src.trust.gate import SiteGate
from src.trust.walk import bundle_files

LEFT = [
    *(
        "src/.DS_Store",
        ".DS_Store",
        "src/data/._layouts.py",
        "__MACOSX/src/._x.py",
        "plan/._plan.yaml",
    ),
    *(
        "src/Thumbs.db",
        "src/desktop.ini",
        "plan/Desktop.ini",
        "src/.nfs000000001",
        "plan/plan.yaml~",
    ),
    *("src/.model_vector.py.swp", "plan/.plan.yaml.swo", "src/#errors.py#", ".~lock.plan.yaml#"),
    *("src/__MACOSX/evil.py", "src/.directory", ".Trash-1000/files/x"),
]


@pytest.fixture
def site(parties):
    return parties / "one"


def leave(site, path: str) -> None:
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_bytes(b"\0\5\x16\7")


@pytest.mark.parametrize("path", LEFT)
def test_debris_is_refused_as_what_it_is_with_its_name(site, path):
    leave(site, path)
    with pytest.raises(Refused, match=r"nothing is to be signed anew.*rm -r --") as refused:
        bundle.read(site)
    assert path.partition("/files")[0].partition("/src/._x")[0].partition("/evil")[0] in str(
        refused.value
    )
    assert "Traceback" not in str(refused.value)


def test_all_of_it_is_told_at_once(site):
    for number in range(20):
        leave(site, f"src/.nfs{number:08d}")
    with pytest.raises(Refused, match="and 12 more"):
        bundle.read(site)


@pytest.mark.parametrize("folder", ["venv", ".venv", "env311"])
def test_an_environment_is_to_be_moved_and_not_deleted(site, folder):
    leave(site, f"{folder}/pyvenv.cfg")
    leave(site, f"{folder}/lib/numpy/__init__.py")
    with pytest.raises(Refused, match="Move it out of the workspace") as refused:
        bundle.read(site)
    assert "rm" not in str(refused.value).split()


def test_the_root_of_a_disk_is_no_workspace(site):
    (site / "lost+found").mkdir()
    with pytest.raises(Refused, match="Move the workspace into a folder of that disk"):
        bundle.read(site)


def test_a_workspace_one_folder_deeper_is_named(site, tmp_path):
    outer = tmp_path / "outer"
    shutil.copytree(site, outer / "glioma")
    with pytest.raises(Refused, match=r"there is one in .*glioma.*have the original sent"):
        bundle.read(outer)


@pytest.mark.parametrize("path", ["data/one/._x.nii.gz", "logs/.DS_Store", "cert/._desk.crt"])
def test_debris_among_a_partys_own_files_harms_nobody(site, path):
    before = bundle.read(site).digest
    leave(site, path)
    assert bundle.read(site).digest == before


@pytest.mark.parametrize("name", ["evil.py", "evil.so", "__init__.py", "Thumbs.py", "numpy.db.py"])
def test_no_name_of_code_counts_as_debris(name):
    assert debris.left_by(name) is None


def test_whatever_counts_as_debris_is_refused_and_never_passed_over(site):
    for path in LEFT:
        leave(site, path)
        with pytest.raises(Refused):
            list(bundle_files(site))
        target = site / path.split("/")[0]
        if target.name in ("src", "plan"):
            target = site / "/".join(path.split("/")[: 3 if "data/" in path else 2])
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert list(bundle_files(site))


# -- what is no known debris, and was not there when the bundle was signed -------------------------


def refused_start(site, clock) -> str:
    with pytest.raises(Refused) as refused:
        SiteGate(str(site), clock).ready("one")
    return str(refused.value)


def test_a_stray_file_leads_to_its_removal_and_to_no_ceremony(site, clock):
    leave(site, "src/notes.txt")
    said = refused_start(site, clock)
    assert "new: src/notes.txt" in said
    assert "delete it" in said
    assert "sign it" not in said


def test_code_that_is_new_is_to_be_looked_at(site, clock):
    leave(site, "src/notes.py")
    said = refused_start(site, clock)
    assert "new: src/notes.py" in said
    assert "Put it back as it was, unless you know of the change" in said


def test_an_altered_note_of_what_was_approved_changes_no_advice(site, clock):
    """approvals/approved is signed by nobody: it counts only where it is what was signed."""
    leave(site, "src/notes.txt")
    manifest = site / "approvals/approved/manifest"
    manifest.write_text(manifest.read_text().replace("src/model_vector.py", "src/other.py"))
    assert "sign it" in refused_start(site, clock)
