"""A headless Chromium for tests: a page's console, its requests, and what it looks like."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PATIENCE_S = 60

CONTRASTS = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((v) => {
    const part = v / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = parse(getComputedStyle(e).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const found = [];
for (const element of document.body.querySelectorAll("*")) {
  const own = Array.from(element.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
  const pair = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort();
  const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  found.push([contrast, element.outerHTML.slice(0, 80)]);
}
return found;
"""
TOO_WIDE = """
return Array.from(document.querySelectorAll("table, img, pre"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => [e.closest("[id]").id, e.getBoundingClientRect().right]);
"""
COLUMN = """
const table = document.querySelector(arguments[0]);
return Array.from(table.tBodies[0].rows, (row) => row.cells[arguments[1]].textContent);
"""
STYLES = """
return Object.fromEntries(arguments[0].map((name) => {
  const { fontSize, display } = getComputedStyle(document.querySelector(name));
  return [name, { fontSize, display }];
}));
"""
LINES = """
return Array.from(document.querySelectorAll(arguments[0]), (cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set(Array.from(range.getClientRects(), (box) => box.top)).size;
});
"""
HEIGHTS = """
return Array.from(document.querySelectorAll(arguments[0]), (e) => e.getBoundingClientRect().height);
"""
UNFOLD = """
for (const details of document.querySelectorAll("details")) details.open = true;
setTimeout(arguments[0], 0);  // after the events of toggling
"""
WIDTHS = """
const width = (name) => document.querySelector(name).getBoundingClientRect().width;
return [width("picture"), width("#summary h2 ~ .note"), width("#summary ul")];
"""
STOPS = """
return Array.from(document.querySelectorAll(".scroll"), (box) =>
  [box.scrollWidth > box.clientWidth, box.tabIndex === 0]);
"""


def why_no_browser() -> str:
    """Return why no browser can be started here; empty where one can."""
    try:
        import selenium  # noqa: F401
    except ModuleNotFoundError:
        return "selenium is not installed: pip install 'flopbench[browser]'"
    if _chromium() is None:
        return f"none of {', '.join(CHROMIUM)} is installed: apt-get install chromium"
    if shutil.which(DRIVER) is None:
        return f"{DRIVER} is not installed: apt-get install chromium-driver"
    return ""


def _chromium() -> str | None:
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a headless Chromium that logs its console and its requests; end it afterwards."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = _chromium()
    with tempfile.TemporaryDirectory() as profile:
        arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += ["--no-first-run", "--disable-background-networking", "--hide-scrollbars"]
        arguments += [f"--user-data-dir={profile}"]
        arguments += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        for argument in arguments:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = Chrome(options=options, service=Service(shutil.which(DRIVER)))
        try:
            driver.set_page_load_timeout(PATIENCE_S)
            driver.set_script_timeout(PATIENCE_S)
            driver.get("about:blank")  # away from the browser's own first page
            yield driver
        finally:
            driver.quit()


def open_page(
    driver: Any, page: Path, *, width: int = 1280, dark: bool = False, unfold: bool = True
) -> None:
    """Open a file in a window of a width, CSS pixels, light or dark; unfold its details."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    console(driver)
    requests(driver)
    driver.get(page.resolve().as_uri())
    end = time.monotonic() + PATIENCE_S
    while driver.execute_script("return document.readyState") != "complete":
        assert time.monotonic() < end, f"{page} is never complete"
        time.sleep(0.05)
    if unfold:
        driver.execute_async_script(UNFOLD)


def console(driver: Any) -> list[str]:
    """Return the console's lines since the last call: errors, violations of the policy."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: Any) -> list[str]:
    """Return what the page requested since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def printed(driver: Any) -> bytes:
    """Return the page as Chromium prints it on A4: a PDF."""
    options = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
    return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", options)["data"])


def picture(driver: Any) -> bytes:
    """Return the whole page as a PNG."""
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    shot = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
    )
    return base64.b64decode(shot["data"])
