"""The report: one self-contained page, checked as text and, where there is a browser, as it is laid out."""

import re
import shutil
import subprocess

import pytest
from matplotlib.image import imread

from repro import compare, report
from repro.machine import ROOT
from repro.papers.paper import paper_named

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
# What a reader would see, as the page itself measures it.
PROBE = """<script>
const count = what => [...document.querySelectorAll(what)].filter(e => e.checkVisibility()).length;
const width = document.documentElement.scrollWidth;
const rows = count("section:not(.headlines) table.rows tr[data-scale]");
const found = {width: width, rows: rows, figures: count("figure img")};
document.body.innerHTML = "<pre id=found>" + Object.entries(found).map(pair => pair.join("=")).join(";") + "</pre>";
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    for folder in ("results/paper", "paper_figures/paper"):
        shutil.copytree(ROOT / folder, root / folder)
    return report.write_report(root)


@pytest.fixture(scope="module")
def rows():
    return compare.read(ROOT / "results" / "paper" / "comparison.csv")


def test_every_row_and_figure_is_on_the_page_and_nothing_is_fetched(page, rows):
    text = page.read_text()
    for row in rows:
        assert f'<td class="id">{report.breakable(row.id)}<br>' in text
    figures = list((ROOT / "paper_figures" / "paper").rglob("*.png"))
    assert text.count("data:image/png;base64,") == len(figures) > 0
    assert not re.findall(r'src="(?!data:)', text)
    assert "<link" not in text
    assert not re.findall(r'href="(?!#|https://arxiv\.org/abs/\d)', text)  # links to follow, nothing to load


def test_the_page_begins_with_the_headlines_and_reads_as_prose(page, rows):
    text = page.read_text()
    named = [row.id for row in rows if row.id in paper_named(row.paper).headlines and row.verdict != "not_run"]
    first = text.partition("<article")[0]
    assert len(named) > 20
    assert all(str(report.breakable(name)) in first for name in named)
    assert "``" not in text


def test_backticks_become_code_and_nothing_is_let_through():
    assert report.prose("see ``a < b`` and `c`") == "see <code>a &lt; b</code> and <code>c</code>"
    assert report.breakable("a<b.c_d") == "a&lt;b.<wbr>c_<wbr>d"


def test_a_printed_number_that_is_not_judged_says_so(page, rows):
    claimed = [row for row in rows if row.kind == "claim" and row.published is not None and row.verdict == "holds"]
    assert claimed
    for row in claimed:
        cells = page.read_text().partition(f'<td class="id">{report.breakable(row.id)}<br>')[2].partition("</tr>")[0]
        assert '<span class="soft">not judged</span>' in cells, row.id


BROWSE = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def _measured(page, tmp_path, width, choice=""):
    probed = tmp_path / "probed.html"
    choose = f"<script>{choice}; apply();</script>" if choice else ""
    probed.write_text(page.read_text().replace("</body>", f"{choose}{PROBE}</body>"))
    command = [*BROWSE, f"--window-size={width},1200", "--dump-dom"]
    shown = subprocess.run([*command, probed.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'id="found">([^<]*)<', shown)
    assert found, shown[-500:]
    return {name: int(value) for name, value in (pair.split("=") for pair in found[1].split(";"))}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out")
@pytest.mark.parametrize("width", [1400, 500])
def test_nothing_runs_off_the_page_at_a_wide_and_at_a_narrow_width(page, rows, tmp_path, width):
    found = _measured(page, tmp_path, width)
    assert found["width"] <= width
    assert found["rows"] == sum(row.verdict != "not_run" for row in rows)
    assert found["figures"] == len(list((ROOT / "paper_figures" / "paper").rglob("*.png")))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out")
@pytest.mark.parametrize("width", [1400, 500])
def test_a_screenshot_shows_a_page_within_its_margins(page, tmp_path, width):
    picture = tmp_path / "page.png"
    command = [*BROWSE, f"--window-size={width},1200", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    pixels = imread(picture)[..., :3]
    assert pixels.shape == (1200, width, 3)
    assert 0.02 < (pixels.mean(axis=2) < 0.5).mean() < 0.5, "ink on white, neither an empty page nor a dark one"
    assert (pixels.min(axis=(1, 2)) < 0.5).sum() > 200, "lines of text all the way down"
    assert pixels[:, -4:].min() > 0.95, "nothing is cut off by the right edge"
    blue = (pixels[..., 2] > pixels[..., 0] + 0.2).any(axis=1)
    assert blue.any(), "links or verdicts are coloured"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out")
def test_the_filter_by_paper_shows_its_rows_and_figures_alone(page, rows, tmp_path):
    for paper in ("hinton2015", "werfel2005"):
        found = _measured(page, tmp_path, 1400, f'document.getElementById("paper").value = "{paper}"')
        assert found["rows"] == sum(row.paper == paper and row.verdict != "not_run" for row in rows) > 0
        assert found["figures"] == len(list((ROOT / "paper_figures" / "paper" / paper).glob("*.png"))) > 0


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out")
def test_the_filter_by_verdict_shows_those_rows_alone(page, rows, tmp_path):
    for verdict in {row.verdict for row in rows}:
        choice = f'document.getElementById("verdict").value = "{verdict}"'
        assert _measured(page, tmp_path, 1400, choice)["rows"] == sum(row.verdict == verdict for row in rows), verdict


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((89.666, 72.21, 107.12), ("89.7", "72.2 to 107")),
        ((2025.0, 2024.5, 2025.5), ("2025", "2024.5 to 2025.5")),
        ((23800.0, 23750.0, 23850.0), ("23800", "23750 to 23850")),
        ((0.319412, 0.31411, 0.3249), ("0.319", "0.314 to 0.325")),
        ((None, None, 3.0), ("", "… to 3")),
        ((146.0, None, None), ("146", "")),
    ],
)
def test_an_interval_has_as_many_digits_as_its_width_asks_for(numbers, told):
    assert report.interval(*numbers) == told
