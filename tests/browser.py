"""A headless Chromium for tests: opens files, tells what a page said, asked for and looks like.

Lives here: starting and asking the browser. Does not live here: any test.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PATIENCE_S = 60


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


def open_page(driver: Any, page: Path, *, width: int = 1280, dark: bool = False) -> None:
    """Open a file in a window of a width, CSS pixels, light or dark."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    console(driver)
    requests(driver)
    driver.get(page.resolve().as_uri())


def console(driver: Any) -> list[str]:
    """Return what the console said since it was last asked: errors, refusals of the policy."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: Any) -> list[str]:
    """Return what was asked for since it was last asked."""
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
