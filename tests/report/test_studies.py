"""Reports show what their results say: what scripts/report.py would write there is there."""

import contextlib
import json
import re
from pathlib import Path

import pytest

from scripts.report import BLOCK, filled
from tests.report.conftest import Make

STUDIES = sorted((Path(__file__).parents[2] / "studies").iterdir())


def test_blocks_are_filled_with_what_their_commands_print(make: Make) -> None:
    make("loss=sgan", value=7.0, root="outputs")
    Path("three.py").write_text("import sys; print(sys.argv[1] * 3)")
    report = "# `<!-- $ A -->`\n<!-- $ python three.py ab -->\nold\n<!-- end -->\nb\n"
    report += "<!-- $ rgan-table outputs -->\n<!-- end -->\n"
    once = filled(report)
    assert (
        once.startswith("# `<!-- $ A -->`\n<!-- $ python three.py ab -->\n\nababab\n\n<!-- end -->\nb\n")
        and "7.00" in once
    )
    assert filled(once) == once
    with pytest.raises(ValueError, match="neither rgan-table nor python"):
        filled("<!-- $ rm -r outputs -->\n<!-- end -->")


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_a_study_tells_what_its_results_say(study: Path) -> None:
    """Its tables and sentences are made anew from results.json."""
    if not (study / "REPORT.md").exists():
        pytest.skip("has only a plan so far")
    report = (study / "REPORT.md").read_text()
    assert len(BLOCK.findall(report)) >= 4
    with contextlib.chdir(study):
        assert filled(report) == report
    for figure in re.findall(r"!\[[^]]*\]\(([^)]+)\)", report):
        assert (study / figure).stat().st_size > 1000
    assert not re.search(r'"/[a-z]', json.dumps(json.loads((study / "results.json").read_text())))
