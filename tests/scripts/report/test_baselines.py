"""What each site gains by taking part, in the report of a run."""

import json

import pytest

from scripts.report.baselines import FILE, gains, read_baselines
from scripts.report.page import write_report
from src.errors import InputError


def scores(**sites: float) -> dict:
    return {site: {"dice": {"mean": mean}} for site, mean in sites.items()}


def test_a_row_a_site_with_the_baselines_that_were_run():
    final, found = scores(two=0.5, one=0.7), {"pooled": scores(one=0.8, two=0.6)}
    assert gains(final, found) == [
        {"site": "one", "federated": 0.7, "pooled": 0.8},
        {"site": "two", "federated": 0.5, "pooled": 0.6},
    ]
    assert gains(final, {}) == []


def test_the_page_says_what_a_site_gains_and_marks_one_that_loses(finished_run):
    assert "gains by taking part" not in write_report(finished_run).read_text()
    found = {"alone": scores(one=0.3, two=0.45)}
    (finished_run / "report" / FILE).write_text(json.dumps(found))
    page = write_report(finished_run).read_text()
    assert "What each site gains by taking part" in page
    assert "<td>0.400</td><td>0.300</td><td>+0.100</td>" in page
    assert '<td>0.300</td><td>0.450</td><td class="low">-0.150</td>' in page


def test_a_damaged_file_is_named(finished_run):
    (finished_run / "report").mkdir()
    (finished_run / "report" / FILE).write_text("{")
    with pytest.raises(InputError, match=FILE):
        read_baselines(finished_run)
