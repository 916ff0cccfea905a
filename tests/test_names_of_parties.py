"""Names of sites, hosts and federations: each refusal says why, and what the kit makes is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError
from src.names import MOST_SITE, TAKEN, check_federation, check_host, check_site


@pytest.mark.parametrize("name", ["one", "site-1", "a", "x" * 24, "charite-berlin"])
def test_a_plain_name_is_a_site_s(name):
    assert check_site(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("1", "starts with a digit; site-1 would do"),
        ("x" * 25, "longer than 24"),
        ("One", r"has an upper-case letter \(O\): names are lower case: one"),
        ("Charité", "has an upper-case letter .* and has the letter é, which is none of a-z"),
        ("köln", "has the letter ö"),
        ("site_a", "has an underscore"),
        ("site a", "has a blank"),
        ("site a ", "has a blank"),
        ("a.b", "has the character '.'"),
        ("-a", "begins with a hyphen"),
        ("a-", "ends with a hyphen"),
        ("a\n", "has a blank"),
        ("../a", "has the character '/'"),
        ("a\x1b[1A", "has the character"),
        ("٣", "has the character"),
        *((name, "a word of this kit's own") for name in sorted(TAKEN)),
    ],
)
def test_a_name_that_no_site_can_bear_is_refused_in_a_sentence(name, why):
    with pytest.raises(InputError, match=f"no name for a site: it .*{why}"):
        check_site(name)


@pytest.mark.parametrize(
    "name", ["localhost", "agg.klinik.example", "agg-1.example", "a.2b.example", "x" * 60 + ".org"]
)
def test_a_dns_name_is_an_aggregator_s(name):
    assert check_host(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("AGG.Klinik.Example", "aggregator names are lower case: agg.klinik.example"),
        ("agg.klinik.example.", "ends with a dot"),
        ("agg_1.klinik.example", "has an underscore"),
        ("agg.universität.example", "has the letter ä"),
        ("agg-" + "x" * 60 + ".klinik.example", "has more than 63 characters between two dots"),
        ("agg." + "x" * 50 + ".klinik.example", r"longer than 64 characters \(69\); a certificate"),
        ("10.0.0.5", "is a number; TLS compares names"),
        ("::1", "is a number"),
        ("[fe80::1]", "is a number"),
        ("4agg.example", "starts with a digit"),
        ("agg..example", "two dots side by side"),
        (".example", "two dots side by side, or begins with one"),
        ("agg-.example", "has a hyphen at an end of agg-"),
        ("agg.example:50051", "holds a port"),
        ("https://agg.example", "an address of the web"),
        ("agg.example ", "has a blank"),
        ("*.example", "has the character"),
    ],
)
def test_a_host_that_no_certificate_carries_is_refused_in_a_sentence(name, why):
    with pytest.raises(InputError, match=f"no name for an aggregator: it .*{why}"):
        check_host(name)


@pytest.mark.parametrize("name", ["", " ", "x" * 57, "glioma\n2026"])
def test_a_federation_s_name_fits_the_authority_s_certificates(name):
    with pytest.raises(InputError, match="no name for a federation: expected 1 to 56"):
        check_federation(name)
    assert check_federation("Gliom 2026, Köln") == "Gliom 2026, Köln"


@given(st.text(max_size=80))
def test_whatever_is_given_is_taken_or_refused_in_words(name):
    for check in (check_site, check_host, check_federation):
        try:
            check(name)
        except InputError as error:
            assert "is no name for" in str(error)  # noqa: PT017
        else:
            assert len(name) <= (MOST_SITE if check is check_site else 64)
