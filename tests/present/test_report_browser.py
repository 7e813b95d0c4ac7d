"""The page of ``flopbench report`` in a real browser: policy, sorting, widths, darkness, paper."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browser
import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
if browser.why_no_browser():
    pytest.skip(browser.why_no_browser(), allow_module_level=True)

from flopbench.cli import main
from flopbench.present.report import write_report

pytestmark = pytest.mark.slow

SCRIPT = "<script>alert(1)</script>"
AA = 4.5
"""Contrast that WCAG 2 asks of text at level AA."""


def write_inputs(folder: Path) -> list[str]:
    """Write inputs whose texts are out to break the page; return their names."""
    for name, source in {
        "table.json": "tests/data/table-schema1.json",
        "steady.jsonl": "tests/data/steady.jsonl",
        "timings.json": "tests/data/timings.json",
        "replay.json": "reports/replay-amd-epyc.json",
        "profiles.json": "reports/profiles/vit_b_16.json",
    }.items():
        shutil.copy(ROOT / source, folder / name)
    header = {
        "format": "flopbench.policy-log",
        "version": 1,
        "preset": "arnet-resnet",
        "method": SCRIPT,
        "dataset": "simulated",
        "split": "validation",
        "class_names": [SCRIPT, '"><img src=x onerror=alert(1)>', "</style>{{ 7*7 }}"],
    }
    lines: list[Any] = [header]
    lines += [
        {"id": f"{SCRIPT}{n}", "labels": [n % 3], "actions": [n % 4] * 16, "scores": [1, 0, n]}
        for n in range(9)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "hostile.jsonl").write_text(text, encoding="utf-8")
    names = ["table.json", "steady.jsonl", "hostile.jsonl", "timings.json", "replay.json"]
    return [*names, "profiles.json"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it, hostile texts too."""
    folder = tmp_path_factory.mktemp("browser")
    names = write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["report", *names, "-o", "out", "--title", f"All of it {SCRIPT}"]) == 0
    return folder / "out" / "index.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """One browser for all tests."""
    with browser.chromium() as started:
        yield started


def column(driver: Any, table: str, index: int) -> list[str]:
    """Return the cells of a table's column, in their current order."""
    found: list[str] = driver.execute_script(browser.COLUMN, f"#table-{table} table", index)
    return found


def heading(driver: Any, table: str, index: int) -> Any:
    """Return a heading of a table."""
    return driver.find_elements("css selector", f"#table-{table} thead th")[index]


def test_opens_without_a_complaint_and_asks_for_nothing(driver: Any, page: Path) -> None:
    """No console message (so no refusal by the policy), no request but the file and its data."""
    browser.open_page(driver, page)
    assert browser.console(driver) == []
    asked = browser.requests(driver)
    assert asked[0] == page.resolve().as_uri()
    assert asked[1:]
    assert all(url.startswith("data:image/svg+xml") for url in asked[1:])
    broken = "return Array.from(document.images).filter((i) => !i.naturalWidth).length"
    assert driver.execute_script(broken) == 0


def test_the_policy_stops_what_could_be_smuggled_in(driver: Any, page: Path) -> None:
    """A script or a style that were added after all would not run: the policy holds."""
    browser.open_page(driver, page)
    driver.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.smuggled = 1';"
        "document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'https://example.org/x.png';"
        "document.body.append(i);"
    )
    assert driver.execute_script("return window.smuggled") is None
    assert len([text for text in browser.console(driver) if "Content Security Policy" in text]) >= 2


def test_what_a_log_says_is_text(driver: Any, page: Path) -> None:
    """Names that are tags are shown literally; no dialog opens; none becomes an element."""
    from selenium.common.exceptions import NoAlertPresentException

    browser.open_page(driver, page)
    with pytest.raises(NoAlertPresentException):
        driver.switch_to.alert.accept()
    assert driver.title == f"All of it {SCRIPT}"
    titles = [e.text for e in driver.find_elements("css selector", "h3")]
    assert SCRIPT in titles
    assert column(driver, "comparison", 0) == ["steady", SCRIPT]
    assert len(driver.find_elements("css selector", "script")) == 1
    assert driver.find_elements("css selector", "img[src='x']") == []


def test_a_video_that_is_a_script_is_text(driver: Any, page: Path) -> None:
    """A message that names a video by its id shows the id literally."""
    from selenium.common.exceptions import NoAlertPresentException

    base = page.parent.parent
    log = (base / "hostile.jsonl").read_text(encoding="utf-8")
    (base / "other.jsonl").write_text(log.replace('"labels": [0]', '"labels": [1]'), "utf-8")
    own = write_report(
        [base / n for n in ("hostile.jsonl", "other.jsonl", "table.json")], base / "two"
    )
    browser.open_page(driver, own)
    with pytest.raises(NoAlertPresentException):
        driver.switch_to.alert.accept()
    assert browser.console(driver) == []
    section = driver.find_element("css selector", "#comparison")
    assert f"labels of '{SCRIPT}0'" in section.text


def test_a_click_sorts_by_number_and_a_third_restores(driver: Any, page: Path) -> None:
    """Smallest first, largest first, as it was; aria-sort says which; other headings say none."""
    browser.open_page(driver, page)
    before = column(driver, "costs", 6)
    numbers = sorted(float(text) for text in before)
    head = heading(driver, "costs", 6)
    assert head.get_attribute("aria-sort") == "none"
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(driver, "costs", 6)] == numbers
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(driver, "costs", 6)] == numbers[::-1]
    first = heading(driver, "costs", 0)
    first.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "none"
    names = [text.partition(" ")[0] for text in column(driver, "costs", 0)]
    assert names == sorted(names)
    head.find_element("css selector", "button").click()
    for _ in range(2):
        head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(driver, "costs", 6) == before


def test_keys_sort_and_missing_values_stay_last(driver: Any, page: Path) -> None:
    """Enter and Space on a heading do what a click does; a dash is last in both orders."""
    from selenium.webdriver.common.keys import Keys

    browser.open_page(driver, page)
    button = heading(driver, "replay-executed", 1).find_element("css selector", "button")
    seen = {}
    for key, order in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        button.send_keys(key)
        assert heading(driver, "replay-executed", 1).get_attribute("aria-sort") == order
        cells = column(driver, "replay-executed", 1)
        known = [int(text.replace(",", "")) for text in cells if text != "-"]
        assert cells[len(known) :] == ["-"] * (len(cells) - len(known))
        assert len(known) < len(cells)
        seen[order] = known
    assert seen["ascending"] == sorted(seen["ascending"])
    assert seen["descending"] == seen["ascending"][::-1]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(driver: Any, page: Path, width: int) -> None:
    """At any width only a table's own box scrolls; small screens get the narrow figures."""
    browser.open_page(driver, page, width=width)
    wide, inner = driver.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert inner == width
    assert wide <= width
    out = driver.execute_script(
        "return Array.from(document.images).filter("
        "(i) => i.getBoundingClientRect().right > window.innerWidth).length"
    )
    assert out == 0
    shown, source = driver.execute_script(
        "const p = document.querySelector('picture');"
        "return [p.querySelector('img').currentSrc, p.querySelector('source').srcset]"
    )
    assert (shown == source) is (width < 600)


def test_light_and_dark_differ_and_both_can_be_read(driver: Any, page: Path) -> None:
    """The scheme of the system rules; all text keeps a contrast of 4.5; figures stay on white."""
    backgrounds = []
    for dark in (False, True):
        browser.open_page(driver, page, dark=dark)
        look = "return getComputedStyle(document.documentElement).backgroundColor"
        backgrounds.append(driver.execute_script(look))
        found = driver.execute_script(browser.CONTRASTS)
        assert len(found) > 100
        assert [text for contrast, text in found if contrast < AA] == []
        card = "return getComputedStyle(document.querySelector('.card')).backgroundColor"
        assert driver.execute_script(card) == "rgb(255, 255, 255)"
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(21, 24, 28)"]


def test_figures_are_as_wide_as_text(driver: Any, page: Path) -> None:
    """The card of a figure has the width of a paragraph, on large and small screens."""
    for width, expected in ((1280, 46 * 16), (400, 400 - 2 * 16)):
        browser.open_page(driver, page, width=width)
        assert driver.execute_script(browser.WIDTHS) == [expected] * 3


def test_details_unfold_on_demand_and_on_paper(driver: Any, page: Path) -> None:
    """The second table of a part is hidden until its line is clicked; paper shows everything."""
    browser.open_page(driver, page, unfold=False)
    table = driver.find_element("css selector", "#table-replay-executed table")
    assert not table.is_displayed()
    folded = "return document.documentElement.scrollHeight"
    short = driver.execute_script(folded)
    line = driver.find_element("xpath", "//details[.//div[@id='table-replay-executed']]/summary")
    line.click()
    assert table.is_displayed()
    few = browser.printed(driver)
    assert (
        driver.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    )
    assert driver.execute_script(folded) > 1.5 * short
    assert few.startswith(b"%PDF-")


def test_keyboard_reaches_the_summary_first(driver: Any, page: Path) -> None:
    """The first stop of the keyboard is the way past the contents, and it can be seen."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.open_page(driver, page)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    focused = driver.switch_to.active_element
    assert focused.text == "Skip to the summary"
    assert focused.rect["x"] >= 0
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert driver.execute_script(outline) == "solid"


@contextmanager
def on_paper(driver: Any) -> Iterator[None]:
    """Show the page as it is printed."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    yield
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_prints_whole_tables(driver: Any, page: Path) -> None:
    """Printing gives a PDF of several pages, and no table or figure is wider than the sheet."""
    browser.open_page(driver, page)
    pdf = browser.printed(driver)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") >= 3
    # A4 less its margins, 182 mm, at 96 px an inch.
    width = int(182 / 25.4 * 96)
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    with on_paper(driver):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert driver.execute_script(browser.TOO_WIDE) == []


def test_paper_has_one_scale_of_letters(driver: Any, page: Path) -> None:
    """On paper notes and captions are smaller than the text; headings of tables can be repeated."""
    browser.open_page(driver, page)
    with on_paper(driver):
        names = ["main li", "figcaption", ".note", "td", "th button"]
        styles = driver.execute_script(browser.STYLES, names)
    sizes = {name: float(style["fontSize"].removesuffix("px")) for name, style in styles.items()}
    assert sizes["main li"] == pytest.approx(10 / 72 * 96, abs=0.1)
    assert sizes["main li"] > sizes["figcaption"] == sizes[".note"] >= sizes["td"]
    # What is a box of its own inside a heading is left blank where Chromium repeats the heading.
    assert styles["th button"]["display"] == "contents"


def test_a_tree_keeps_its_shape_on_a_small_screen(driver: Any, page: Path) -> None:
    """The name of a module stays on the line that its indent is on."""
    browser.open_page(driver, page, width=390)
    lines = driver.execute_script(browser.LINES, "#table-explain-modules tbody th")
    assert len(lines) > 5
    assert set(lines) == {1}


def test_keys_and_fingers_find_what_they_need(driver: Any, page: Path) -> None:
    """Headings are 24 px high or more; only tables that scroll are stops of the keyboard."""
    for width in (1280, 390):
        browser.open_page(driver, page, width=width)
        heights = driver.execute_script(browser.HEIGHTS, "th button")
        assert min(heights) >= 24
        boxes = driver.execute_script(browser.STOPS)
        assert [stop for scrolls, stop in boxes if scrolls is not stop] == []
    assert any(scrolls for scrolls, _ in boxes)
