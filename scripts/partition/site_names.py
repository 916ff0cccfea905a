"""Names of sites that the kit makes: counted, or of a folder's name; each can be enrolled."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from src import names
from src.errors import InputError

# Letters that are written with two elsewhere, and those that no accent can be taken from.
WRITTEN_OUT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "æ": "ae",
        "ø": "oe",
        "å": "aa",
        "œ": "oe",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ı": "i",
    }
)
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def site_names(count: int) -> list[str]:
    """one, two, three … for up to ten sites, else site-01, site-02 …"""
    if count <= len(NAMES):
        return list(NAMES[:count])
    width = len(str(count))
    return [f"site-{number:0{width}d}" for number in range(1, count + 1)]


def site_name(text: str) -> str:
    """The name of a site that a folder's or an institution's name stands for.

    Whatever this makes can be enrolled (`src.names`). Umlauts are written out; a number, or a word
    of the kit's own, gets `site-` before it; what is too long is cut, and a digest of the whole
    keeps two that begin alike apart. InputError: nothing of the text is left.
    """
    latin = unicodedata.normalize("NFC", text).lower().translate(WRITTEN_OUT)
    plain = unicodedata.normalize("NFKD", latin)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not name:
        raise InputError(
            f"{text!r} cannot be made a site's name: none of its letters is one of a-z or a digit. "
            "Rename the folder."
        )
    if name[0].isdigit() or name in names.TAKEN:
        name = f"site-{name}"
    if len(name) > names.MOST_SITE:
        mark = hashlib.sha256(name.encode()).hexdigest()[:5]
        name = f"{name[: names.MOST_SITE - len(mark) - 1].rstrip('-')}-{mark}"
    return names.check_site(name)


def in_order(sites: Iterable[str]) -> list[str]:
    """one, two, three … as one counts, then all other names, numbers in them by value."""

    def place(name: str) -> tuple:
        number = NAMES.index(name) if name in NAMES else len(NAMES)
        words = re.split(r"(\d+)", name)  # text and numbers by turns, text first
        return number, [int(word) if word.isdecimal() else word for word in words], name

    return sorted(sites, key=place)
