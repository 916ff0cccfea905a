"""The data sets that the kit knows: how their files are named and what their labels mean.

This table is the only place that knows a data set. A new data set is a new row.
"""

import re
from dataclasses import dataclass, field

from src.data.shared_patients import aliases_within


@dataclass(frozen=True)
class Labels:
    """The meaning of a segmentation's voxel values.

    core: necrotic and non-enhancing tumour core.
    oedema: surrounding oedema or invaded tissue.
    enhancing: enhancing tumour.
    outside: further values that are valid but no part of the tumour.
    """

    core: int
    oedema: int
    enhancing: int
    outside: tuple[int, ...] = ()

    @property
    def values(self) -> frozenset[int]:
        """Every valid value, 0 (background) among them."""
        return frozenset({0, self.core, self.oedema, self.enhancing, *self.outside})

    @property
    def meaning(self) -> str:
        """What each value of the tumour means, for messages."""
        named = {self.core: "core", self.oedema: "oedema", self.enhancing: "enhancing"}
        named |= dict.fromkeys(self.outside, "cavity, no tumour")
        return ", ".join(f"{value} {name}" for value, name in sorted(named.items()))


# Menze et al. 2015 (doi:10.1109/TMI.2014.2377694), as the challenge used it from 2017 to 2022.
TO_2022 = Labels(core=1, oedema=2, enhancing=4)
# BraTS 2023 renumbered enhancing tumour to 3.
FROM_2023 = Labels(core=1, oedema=2, enhancing=3)
# BraTS 2024 (post-treatment, arXiv:2405.18368) adds 4 = resection cavity. There TC = ET + NETC and
# WT = ET + NETC + SNFH: the cavity belongs to none of the three regions.
POST_TREATMENT = Labels(core=1, oedema=2, enhancing=3, outside=(4,))

# What follows the case id in the file names: of the sequences, and of the segmentation.
CLASSIC = ({"t1": "_t1", "t1ce": "_t1ce", "t2": "_t2", "flair": "_flair"}, "_seg")
MODERN = ({"t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "flair": "-t2f"}, "-seg")
UCSF = ({"t1": "_T1", "t1ce": "_T1c", "t2": "_T2", "flair": "_FLAIR"}, "_tumor_segmentation")


@dataclass(frozen=True)
class Kind:
    """One data set: its naming and its labels.

    case: a pattern for a case's id. Its group `patient` is the patient; what follows is the time
        point.
    example: a case folder, for messages.
    sequences: what follows the case id in a sequence's file name, before `.nii` or `.nii.gz`.
    label: the same for the segmentation.
    folder_tail: what follows the case id in its folder's name.
    odd_labels: case id -> stem of a segmentation that breaks the rule.
    aliases: patient id -> the id under which the same person is in this data set, too.
    more_files: whether a case's folder holds further volumes by rule.
    """

    name: str
    case: str
    example: str
    sequences: dict[str, str]
    label: str
    labels: Labels
    folder_tail: str = ""
    odd_labels: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    more_files: bool = False

    def patient_of_folder(self, folder: str) -> str | None:
        """The patient of a case folder of this name; None if it is no case of this data set.

        A person who is in the data set under two ids is one patient.
        """
        match = re.fullmatch(self.case + re.escape(self.folder_tail), folder)
        return self.aliases.get(match["patient"], match["patient"]) if match else None

    def stem(self, case_id: str, sequence: str | None = None) -> str:
        """File name, without `.nii` or `.nii.gz`, of a sequence, or of the label (None)."""
        if sequence is None:
            return self.odd_labels.get(case_id, case_id + self.label)
        return case_id + self.sequences[sequence]


def _table(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


# Synthetic cases bear no public data set's names: in every layout they begin with Phantom.
KINDS: dict[str, Kind] = _table(
    # The last number of a 2018 or 2019 name is the time point (always 1 in what was released).
    Kind(
        "brats2018",
        r"(?P<patient>(Bra(TS|ts)18|Phantom)_\w+)_\d+",
        "HGG/Brats18_CBICA_AAB_1",
        *CLASSIC,
        TO_2022,
    ),
    Kind(
        "brats2019",
        r"(?P<patient>(Bra(TS|ts)19|Phantom)_\w+)_\d+",
        "HGG/BraTS19_CBICA_AAB_1",
        *CLASSIC,
        TO_2022,
    ),
    Kind(
        "brats2020",
        r"(?P<patient>(BraTS20_[A-Za-z]+|Phantom)_\d{3})",
        "BraTS20_Training_001",
        *CLASSIC,
        TO_2022,
        # Shipped so: an earlier name was left on this one segmentation.
        odd_labels={"BraTS20_Training_355": "W39_1998.09.19_Segm"},
    ),
    Kind(
        "brats2021",
        r"(?P<patient>(BraTS2021|Phantom)_\d{5})",
        "BraTS2021_00000",
        *CLASSIC,
        TO_2022,
        aliases=aliases_within("BraTS2021_"),
    ),
    Kind("fets2022", r"(?P<patient>(FeTS2022|Phantom)_\d{5})", "FeTS2022_00000", *CLASSIC, TO_2022),
    # The last three digits are the time point: several cases, one patient.
    Kind(
        "brats2023",
        r"(?P<patient>(BraTS-GLI|Phantom)-\d{5})-\d{3}",
        "BraTS-GLI-00000-000",
        *MODERN,
        FROM_2023,
    ),
    Kind(
        "brats2024",
        r"(?P<patient>(BraTS-GLI|Phantom)-\d{5})-\d{3}",
        "BraTS-GLI-00000-100",
        *MODERN,
        POST_TREATMENT,
    ),
    # Calabrese et al. 2022 (doi:10.1148/ryai.220058). Follow-up scans end in _FU and days.
    Kind(
        "ucsf-pdgm",
        r"(?P<patient>UCSF-PDGM-\d{4})(_FU\d+d)?",
        "UCSF-PDGM-0004_nifti",
        *UCSF,
        TO_2022,
        folder_tail="_nifti",
        more_files=True,  # diffusion, and sequences before bias correction
    ),
    # Made by this kit, laid out and labelled as BraTS 2021.
    Kind("phantom", r"(?P<patient>Phantom_\d{5})", "Phantom_00021", *CLASSIC, TO_2022),
)
