"""Names of sites, of the aggregator's host and of a federation: one rule, in sentences.

Whoever makes, takes or reads such a name asks here, so that none is made which another refuses:
`prepare` and `simulate` (site folders), `certify`, `workspace --address`, the plan, the doctor.
"""

import re
import string

from src.errors import InputError

MOST_SITE = 24  # with a dot and 32 digits of serial number it fills a common name
MOST_COMMON_NAME = 64  # RFC 5280, ub-common-name; the name of a host is a certificate's, too
MOST_LABEL = 63  # RFC 1035: letters between two dots
# Folders that lie beside the sites' in a run, and parties that are no sites.
TAKEN = frozenset({"aggregator", "cache", "data", "desk", "ledgers", "report"})
LOWER, DIGITS = string.ascii_lowercase, string.digits


def check_site(name: str) -> str:
    """The name, if a site can bear it. InputError: a sentence that says why it cannot."""
    faults = _letters(name, LOWER + DIGITS + "-")
    if name and not faults:
        faults += [f"is longer than {MOST_SITE} characters"] * (len(name) > MOST_SITE)
        faults += ["starts with a digit; site-" + name + " would do"] * (name[:1] in DIGITS)
        faults += ["begins with a hyphen"] * name.startswith("-")
        faults += ["ends with a hyphen"] * name.endswith("-")
        faults += ["is a word of this kit's own"] * (name in TAKEN)
    if faults or not name:
        raise InputError(
            f"{name!r} is no name for a site: it {' and '.join(faults) or 'is empty'}. A site's "
            f"name has 1 to {MOST_SITE} characters: lower-case letters a-z, digits and hyphens, "
            "and begins with a letter."
        )
    return name


def check_host(name: str) -> str:
    """The name, if an aggregator's host can bear it. InputError: why it cannot.

    It stands in the aggregator's certificate, and TLS compares it with what sites call.
    """
    faults = _host_faults(name)
    if faults:
        raise InputError(
            f"{name!r} is no name for an aggregator: it {' and '.join(faults)}. Give a DNS name of "
            f"at most {MOST_COMMON_NAME} characters, such as agg.klinik.example."
        )
    return name


def check_federation(name: str) -> str:
    """The name, if it can stand in the authority's certificates. InputError: why it cannot."""
    most = MOST_COMMON_NAME - len(" signing")
    if not name.strip() or not name.isprintable() or len(name) > most:
        raise InputError(
            f"{name!r} is no name for a federation: expected 1 to {most} printable characters, "
            f"found {len(name)}; a certificate's common name holds {MOST_COMMON_NAME}."
        )
    return name


def _host_faults(name: str) -> list[str]:
    if not name:
        return ["is empty"]
    if "://" in name or "/" in name:
        return ["is an address of the web; leave out all but the host"]
    if re.fullmatch(r"[\d.]+|\[?[0-9a-fA-F]*:[0-9a-fA-F:.]*\]?", name):
        return ["is a number; TLS compares names"]
    if re.search(r":\d*$", name):
        return ["holds a port, which has a setting of its own: --port"]
    faults = _letters(name, LOWER + DIGITS + "-.", "aggregator names are lower case")
    if faults:
        return faults
    labels = name.removesuffix(".").split(".")
    faults = ["ends with a dot"] * name.endswith(".")
    faults += ["has two dots side by side, or begins with one"] * ("" in labels)
    faults += ["starts with a digit"] * (name[0] in DIGITS)
    hyphens = [label for label in labels if label.startswith("-") or label.endswith("-")]
    faults += [f"has a hyphen at an end of {label}" for label in hyphens]
    faults += [
        f"has more than {MOST_LABEL} characters between two dots"
        for label in labels
        if len(label) > MOST_LABEL
    ]
    if len(name) > MOST_COMMON_NAME:
        limit = f"{MOST_COMMON_NAME} characters ({len(name)}); a certificate's common name"
        faults.append(f"is longer than {limit} holds no more")
    return faults


def _letters(name: str, lawful: str, why: str = "names are lower case") -> list[str]:
    """What is wrong with single characters, each kind of them once, with the name that would do."""
    faults = []
    others = sorted(set(name) - set(lawful))
    if capital := [char for char in others if char in string.ascii_uppercase]:
        lower = f": {name.lower()}" if len(capital) == len(others) else ""
        faults.append(f"has an upper-case letter ({capital[0]}): {why}{lower}")
    rest = [char for char in others if char not in capital]
    faults += [f"has the letter {char}, which is none of a-z" for char in rest if char.isalpha()]
    faults += ["has an underscore"] * ("_" in rest)
    faults += ["has a blank"] * any(char.isspace() for char in rest)
    odd = [char for char in rest if not char.isalpha() and char != "_" and not char.isspace()]
    faults += [f"has the character {char!r}" for char in odd]
    return faults
