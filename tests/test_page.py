"""The interactive page, in a browser, opened from disk."""

import json
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

import draw
import explore
import style
from gpt2_helix.doctoring import average_in_groups, group_size
from gpt2_helix.suite.statements import STATEMENTS
from support import ROOT

PAGE = ROOT / "paper/figures/explore.html"
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


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
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
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def browser(chrome: webdriver.Chrome) -> webdriver.Chrome:
    """The page as it opens, at the window's own size and in its own colours."""
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {})
    chrome.get(PAGE.as_uri())
    return chrome


in_browser = pytest.mark.xdist_group("browser")
"""One worker starts one browser."""


def test_the_page_is_what_the_data_make_and_asks_for_nothing_else() -> None:
    text = PAGE.read_text()
    assert text == explore.page(style.SUBJECT)
    assert not [mark for mark in ("http:", "https:", "src=", "<link", "import(") if mark in text]


def test_each_picture_has_its_statements_and_every_statement_is_told_once() -> None:
    report = json.loads((ROOT / f"data/verdicts/{style.SUBJECT}.json").read_text())
    text = PAGE.read_text()
    for statement in report["statements"]:
        assert text.count(f"{statement['verdict']}</strong> {escape(statement['says'])}") == 1
    assert {name for named in explore.PICTURED.values() for name in named} <= set(STATEMENTS)


def test_the_bounds_drawn_are_those_of_the_claims() -> None:
    tolerance = {"look_back_at_5": "<= 3", "least_look_back_at_50": ">= 10", "growth_at_5": "> 1"}
    drawn = {"5": ("at most", 3.0), "50": ("at least", 10.0)}
    assert explore.bounds(tolerance, "look_back_at") == drawn


@in_browser
def test_the_slider_moves_every_picture(browser: webdriver.Chrome) -> None:
    def ask(script: str) -> Any:
        return browser.execute_script(f"return {script}")

    def find(name: str) -> WebElement:
        return browser.find_element(By.ID, name)

    def texts(selector: str) -> list[str]:
        found: list[str] = ask(
            f"[...document.querySelectorAll('{selector}')].map(e => e.textContent)"
        )
        return found

    # By keyboard. The points are the means that the doctoring makes.
    curve = style.read_curve(style.SUBJECT)[:-1]
    kernels = style.read_record(style.SUBJECT, "kernels")["measured"]["local_heads"]
    beside = style.read_record(style.SUBJECT, "sensitivity")["measured"]
    slider = find("size")
    seen = set()
    for name in style.read_record(style.SUBJECT, "kernels")["parameters"]["doctorings"]:
        size = group_size(name)
        assert size
        rows = average_in_groups(curve, size)[1:]
        np.testing.assert_allclose(ask("groups.map(g => g.mean)"), rows[::size], atol=1e-9)
        assert find("chosen").text.split()[0] == str(size)
        for head, caption in zip(kernels["kernel"], texts("#kernels span"), strict=True):
            assert f"back {kernels['look_back'][head][name]:.2g} tokens" in caption
            bars = ask(f"panels.find(p => p.head === '{head}').svg.querySelectorAll('.bar').length")
            assert bars == len(kernels["kernel"][head][name])
        chart = find("attention-by-size")
        for head, found in beside["sweep"]["attention"][str(size)].items():
            assert f"{head} {found['mean']:.2g} now" in str(chart.get_attribute("aria-label"))
        now, dots = "'#attention-by-size .now'", "'#attention-by-size .s0 .dot'"
        place = ask(f"document.querySelector({now}).getAttribute('x1')")
        assert place in ask(
            f"[...document.querySelectorAll({dots})].map(e => e.getAttribute('cx'))"
        )
        every_head = beside["every_head"]["attention"][name].values()
        # A half goes up, as in JavaScript.
        percents = [int(100 * found + 0.5) for found in every_head]
        assert [int(text) for text in texts("#grid tbody td")] == percents
        seen.add(ask("canvas.toDataURL() + find('kernels').innerHTML"))
        assert find("said").text.startswith(f"{len(rows[::size])} points")
        slider.send_keys(Keys.ARROW_RIGHT)
    assert ask("data.attention.bound[1]") == bound_of("attention-only.previous-token", "attention")
    assert len(find("attention-by-size").find_elements(By.CLASS_NAME, "bound")) == 1
    assert len(seen) == int(slider.get_attribute("max") or 0) + 1
    assert complaints(browser) == []


@in_browser
def test_the_helix_turns_and_names_positions(browser: webdriver.Chrome) -> None:
    def ask(script: str) -> Any:
        return browser.execute_script(f"return {script}")

    canvas, named = browser.find_element(By.ID, "view"), browser.find_element(By.ID, "named")
    browser.execute_script("slider.value = sizes.indexOf(10); choose()")
    # Pointing at a point names its positions.
    x, y, width, height = ask("[...places[40], canvas.width, canvas.height]")
    ratio = ask("canvas.width / canvas.getBoundingClientRect().width")
    ActionChains(browser).move_to_element_with_offset(
        canvas, round((x - width / 2) / ratio), round((y - height / 2) / ratio)
    ).perform()
    assert named.text == "positions 401 to 410, one point"
    # Dragging turns the picture, and so do the arrow keys; full stop steps along.
    before = ask("[view.turn, canvas.toDataURL()]")
    ActionChains(browser).click_and_hold(canvas).move_by_offset(60, 0).release().perform()
    dragged = ask("[view.turn, canvas.toDataURL()]")
    assert dragged[0] > before[0]
    assert dragged[1] != before[1]
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert ask("view.turn") > dragged[0]
    ask("name(-1)")
    canvas.send_keys("..")
    assert named.text == "positions 11 to 20, one point"
    assert complaints(browser) == []


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_it_fits_and_is_legible(browser: webdriver.Chrome, scheme: str, width: int) -> None:
    metrics = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 600}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    # WCAG 2.2, 1.4.3: text stands out from what is behind it by 4.5 to 1.
    pairs = browser.execute_script(CONTRASTS)
    assert len(pairs) > 20
    assert [(said, ratio) for said, ratio in pairs if ratio < 4.5] == []


def bound_of(claim: str, name: str) -> float:
    report = json.loads((ROOT / f"data/verdicts/{style.SUBJECT}.json").read_text())
    bound = next(c["tolerance"][name] for c in report["claims"] if c["id"] == claim)
    return float(bound.split()[1])


def complaints(browser: webdriver.Chrome) -> list[Any]:
    log: list[Any] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry for entry in log if entry["level"] in ("SEVERE", "WARNING")]


def test_a_subject_that_is_no_gpt2_has_a_page_and_figures_with_its_own_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(style.DATA / "mini", tmp_path / "bert", ignore=shutil.ignore_patterns("model"))
    record = tmp_path / "bert/helix.json"
    content = json.loads(record.read_text())
    name, sha256 = "embeddings.position_embeddings.weight", "b" * 64
    record.write_text(json.dumps({**content, "weights": {"config.json": "c", name: sha256}}))
    (tmp_path / "verdicts").mkdir()
    shutil.copy(style.DATA / "verdicts/mini.json", tmp_path / "verdicts/bert.json")
    monkeypatch.setattr(style, "DATA", tmp_path)
    text = explore.page("bert")
    assert f"bert, {name} sha256 bbbbbbbbbbbb" in text
    assert "<title>Averaging the positions of bert</title>" in text
    monkeypatch.setattr(style, "SUBJECT", "bert")
    about = draw.write("components", tmp_path)
    assert about["W_pos_sha256"] == sha256
    assert about["caption"].endswith(f"bert, {name} sha256 bbbbbbbbbbbb")


def test_a_figure_of_what_others_published_names_its_source() -> None:
    source = {"repository": "someone/model", "path": "pictures", "commit": "0123456789"}
    record = {"weights": {}, "source": source}
    assert style.positions(record) == (None, None)
    assert style.origin("published", record) == "someone/model, pictures at commit 01234567"


def test_a_figure_of_no_such_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw.main(["lookback", "loopback"])
    assert capsys.readouterr().err.endswith("found loopback\n")
