"""Each way to make a ledger forget, really carried out: what is counted then, and who notices.

Three rounds are spent, then the ledger is set aside, set back, or shown the same patients under
other names; then a fourth round is booked.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from nibabel.loadsave import save
from nibabel.nifti1 import Nifti1Image
from rich.console import Console
from rich.table import Table

from scripts.local.one_process import SigningGate
from scripts.partition.preparation import make_phantoms, site_folders
from src.data.nifti import read_volume
from src.data.site_cases import SiteCases
from src.differential_privacy.accountant import DpEvent, epsilon
from src.differential_privacy.ledger import Ledger, begin
from src.errors import Damaged, Refused
from src.secure_aggregation import announcements
from src.secure_aggregation.heads import Heads

SITE = "one"
A_ROUND = DpEvent(noise_multiplier=4.0, sample_rate=0.5, steps=3)
DELTA = 1e-3
BEFORE, SPENT = 3, 4  # rounds before the attack, and with the one after it
PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [16, 16, 16]}}


@dataclass(frozen=True)
class Row:
    """spent: the epsilon that the rounds have really cost. counted: what the ledger would say after
    the fourth, with what is new left out. now: the same with it; None: refused, with the reason.
    """

    attack: str
    spent: float
    counted: float
    now: float | None
    noticed: str


class Hospital:
    """A site with six patients, a ledger of three rounds, and a peer that has seen its head."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counted = 0.0  # what an attack makes of the ledger, without what is new here
        self.gate = SigningGate([SITE], SITE)
        self.peer = Heads(folder / "heads.json", self.gate.members.run, SigningGate([SITE]))
        make_phantoms(folder / "sites", 1, "6", seed=5, size=32, spacing_mm=5.5)
        self.data = next(iter(site_folders(folder / "sites").values()))
        self.ledgers = folder / "ledgers"
        begin(self.ledgers, SITE, self.gate, by="an engineer", why="first private run")
        self.ledger = self.opened(self.ledgers, self.identifiers(self.data))
        for number in range(BEFORE):
            self.book(self.ledger, number)
            if number == 0:
                shutil.copytree(self.ledgers, folder / "older")
        self.show(BEFORE, self.ledger)

    def identifiers(self, data: Path) -> list[str]:
        """What the ledger knows the patients of a folder by."""
        cases = SiteCases(str(data), patches=PATCHES, cache=str(self.folder / f"cache-{data.name}"))
        return [*cases.identifiers("training"), *cases.identifiers("validation")]

    def opened(self, ledgers: Path, identifiers: list[str]) -> Ledger:
        """The ledger of these patients, as a site opens it."""
        return Ledger.open(ledgers, SITE, identifiers, self.gate)

    def book(self, ledger: Ledger, number: int) -> float:
        """Book a round; epsilon after it."""
        return ledger.book(
            A_ROUND,
            unit="patient",
            run="7",
            round_number=number,
            delta=DELTA,
            budget=1e6,
            what="training",
        )

    def show(self, number: int, ledger: Ledger) -> None:
        """The site's announcement for a round reaches the peer. Refused: its ledger went back."""
        key = X25519PrivateKey.generate()
        text = announcements.write(self.gate, SITE, number, key, bytes(32), ledger.head())
        self.peer.see([announcements.read(self.gate, text, number)])


def another_folder(hospital: Hospital) -> float:
    """Another GLIOMA_LEDGER, HOME, user; a container without its volume."""
    new = hospital.folder / "elsewhere"
    known = hospital.identifiers(hospital.data)
    try:
        return hospital.book(hospital.opened(new, known), BEFORE)
    finally:
        begin(new, SITE, hospital.gate, by="the attack", why="to see what was counted before")
        hospital.counted = hospital.book(hospital.opened(new, known), BEFORE)


def put_back_one(hospital: Hospital) -> float:
    """One ledger is put back to its first round."""
    old = hospital.folder / "older" / hospital.ledger.path.name
    shutil.copy2(old, hospital.ledger.path)
    hospital.counted = _with_the_older(hospital)
    return hospital.book(hospital.ledger, BEFORE)


def put_back_all(hospital: Hospital) -> float:
    """The whole folder is put back, its journal too, and booked on; a peer hears of the round."""
    hospital.counted = _with_the_older(hospital)
    shutil.rmtree(hospital.ledgers)
    shutil.copytree(hospital.folder / "older", hospital.ledgers)
    again = hospital.opened(hospital.ledgers, hospital.identifiers(hospital.data))
    told = hospital.book(again, BEFORE)
    hospital.show(SPENT, again)
    return told


def _with_the_older(hospital: Hospital) -> float:
    aside = hospital.folder / "aside"
    shutil.copytree(hospital.folder / "older", aside)
    return hospital.book(hospital.opened(aside, hospital.identifiers(hospital.data)), BEFORE)


def _renamed(change: Callable[[Path], None]) -> Callable[[Hospital], float]:
    def attack(hospital: Hospital) -> float:
        """Epsilon that is told of the same patients in a folder of copies."""
        anew = hospital.folder / "anew"
        shutil.copytree(hospital.data, anew)
        for folder in sorted(path for path in anew.iterdir() if path.is_dir()):
            name = f"{folder.name[:-3]}9{folder.name[-2:]}"
            for path in sorted(folder.iterdir()):
                if path.name.endswith(".nii.gz"):
                    change(path)
                path.rename(folder / path.name.replace(folder.name, name))
            folder.rename(anew / name)
        wanted = hospital.identifiers(anew)
        by_file = [identifier for identifier in wanted if not identifier.startswith("voxels")]
        before = hospital.opened(hospital.ledgers, by_file)
        hospital.counted = before.spent(DELTA, more=[A_ROUND])
        return hospital.book(hospital.opened(hospital.ledgers, wanted), BEFORE)

    return attack


def _zip_anew(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=3))


def _turn(path: Path) -> None:
    volume, affine = read_volume(path)
    turn = np.eye(4)[:, [2, 0, 1, 3]]  # the axes in another order, and one of them back to front
    turned = np.flip(volume.transpose(2, 0, 1), 0)
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, turned.shape[0] - 1
    save(Nifti1Image(turned, affine @ turn @ flip), path)


def _scale(path: Path) -> None:
    if "seg" in path.name:
        return
    volume, affine = read_volume(path)
    image = Nifti1Image(volume * np.float32(1.7) + 3, affine)
    image.set_data_dtype(np.int16)
    save(image, path)


ATTACKS: dict[str, Callable[[Hospital], float]] = {
    "another folder": another_folder,
    "one ledger put back": put_back_one,
    "the whole folder put back, and booked on": put_back_all,
    "patients renamed, zipped anew": _renamed(_zip_anew),
    "patients renamed, axes turned": _renamed(_turn),
    "patients renamed, values scaled, 16-bit integers": _renamed(_scale),
}


def carry_out() -> list[Row]:
    """Each attack, on a hospital of its own."""
    rows = []
    for name, attack in ATTACKS.items():
        with tempfile.TemporaryDirectory() as folder:
            hospital = Hospital(Path(folder))
            now: float | None = None
            noticed = "counted"
            try:
                now = attack(hospital)
            except (Refused, Damaged) as error:
                noticed = str(error).replace(f"{folder}/", "").partition(". ")[0]
            spent = epsilon([A_ROUND] * SPENT, DELTA)
            rows.append(Row(name, spent, hospital.counted, now, noticed))
    return rows


def show(console: Console, rows: list[Row]) -> None:
    """A row for each attack, and below it what the site or its peer said."""
    table = Table("attack", "spent", "counted before", "counted now", box=None, pad_edge=False)
    for row in rows:
        now = "[green]refused[/]" if row.now is None else f"{row.now:.3f}"
        table.add_row(row.attack, f"{row.spent:.3f}", f"{row.counted:.3f}", now)
    console.print(table)
    for row in rows:
        if row.now is None:
            console.print(f"  {row.attack}: {row.noticed}", markup=False, soft_wrap=True)
