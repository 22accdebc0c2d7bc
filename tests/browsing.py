"""A browser for tests of pages: started once, and how a page looks in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

CONTRASTS = """
// Each element with text of its own, and how its colour stands out from the background behind it.
const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function light(...colours) {
  for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
  const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [];
for (const element of document.body.querySelectorAll("*")) {
  const said = [...element.childNodes].filter(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
  if (!said.length || !element.checkVisibility() || element.matches("script, style")) continue;
  const behind = [];
  for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
  const look = getComputedStyle(element);
  const back = light("#fff", ...behind);
  const front = light(element instanceof SVGElement ? look.fill : look.color);
  const [low, high] = [back, front].sort((a, b) => a - b);
  found.push([said[0].data.trim(), (high + 0.05) / (low + 0.05)]);
}
return found;
"""


CLIPPED = """
// Texts of charts that reach out of their chart.
return [...document.querySelectorAll("svg")].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(text => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1
      || own.top < box.top - 3 || own.bottom > box.bottom + 1;
  }).map(text => svg.id + ": " + text.textContent);
});
"""


in_browser = pytest.mark.xdist_group("browser")
"""One worker starts one browser."""


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser that has no network, and end it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        "host-resolver-rules=MAP * ~NOTFOUND",
        "window-size=900,900",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def look(browser: webdriver.Chrome, width: int = 0, scheme: str = "", height: int = 700) -> None:
    """Give the window this size and these colours; by default its own."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    if width:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def check(browser: webdriver.Chrome, width: int) -> None:
    """Nothing is wider than the window, no label is cut off, and all text is legible."""
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CLIPPED) == []
    # WCAG 2.2, 1.4.3: text stands out from what is behind it by 4.5 to 1.
    pairs = browser.execute_script(CONTRASTS)
    assert len(pairs) > 20
    assert [(said, ratio) for said, ratio in pairs if ratio < 4.5] == []


def complaints(browser: webdriver.Chrome) -> list[Any]:
    log: list[Any] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry for entry in log if entry["level"] in ("SEVERE", "WARNING")]
