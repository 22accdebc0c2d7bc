"""The interactive page, in a browser, opened from disk."""

import json
import shutil
from collections.abc import Iterator
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
import style
from gpt2_helix.doctoring import average_in_groups
from page import GROUP_SIZES, page
from support import ROOT

PAGE = ROOT / "paper/figures/helix.html"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium, driver = (
        shutil.which("chromium") or shutil.which("google-chrome"),
        shutil.which("chromedriver"),
    )
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
        f"user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        chrome.get(PAGE.as_uri())
        yield chrome
    finally:
        chrome.quit()


def test_the_page_is_what_the_data_make_and_asks_for_nothing_else() -> None:
    text = PAGE.read_text()
    assert text == page(style.SUBJECT)
    assert not [mark for mark in ("http:", "https:", "src=", "<link", "import(") if mark in text]


def test_it_averages_turns_and_names_positions(browser: webdriver.Chrome) -> None:
    def ask(script: str) -> Any:
        return browser.execute_script(f"return {script}")

    def find(name: str) -> WebElement:
        return browser.find_element(By.ID, name)

    # The slider, by keyboard: the points are the means that the doctoring makes.
    curve = style.read_curve(style.SUBJECT)[:-1]
    slider, canvas = find("size"), find("view")
    for size in GROUP_SIZES:
        rows = average_in_groups(curve, size)[1:]
        means = ask("groups.map(g => g.mean)")
        np.testing.assert_allclose(means, rows[::size], atol=1e-9)
        assert find("chosen").text.split()[0] == str(size)
        slider.send_keys(Keys.ARROW_RIGHT)
    # Pointing at a point names its positions.
    slider.send_keys(Keys.HOME)
    for _ in range(GROUP_SIZES.index(10)):
        slider.send_keys(Keys.ARROW_RIGHT)
    x, y, width, height = ask("[...places[40], canvas.width, canvas.height]")
    ratio = ask("canvas.width / canvas.getBoundingClientRect().width")
    ActionChains(browser).move_to_element_with_offset(
        canvas, round((x - width / 2) / ratio), round((y - height / 2) / ratio)
    ).perform()
    assert find("said").text == "positions 401 to 410, one point"
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
    assert find("said").text == "positions 11 to 20, one point"
    log: list[Any] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in log if entry["level"] in ("SEVERE", "WARNING")] == []


def test_a_subject_that_is_no_gpt2_has_a_page_and_figures_with_its_own_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(style.DATA / "mini", tmp_path / "bert", ignore=shutil.ignore_patterns("model"))
    record = tmp_path / "bert/helix.json"
    content = json.loads(record.read_text())
    name, sha256 = "embeddings.position_embeddings.weight", "b" * 64
    record.write_text(json.dumps({**content, "weights": {"config.json": "c", name: sha256}}))
    monkeypatch.setattr(style, "DATA", tmp_path)
    assert f"bert, {name} sha256 bbbbbbbbbbbb; three components" in page("bert")
    monkeypatch.setattr(style, "SUBJECT", "bert")
    about = draw.write("components", tmp_path)
    assert about["W_pos_sha256"] == sha256
    assert about["caption"].endswith(f"bert, {name} sha256 bbbbbbbbbbbb")


def test_a_figure_of_what_others_published_names_its_source() -> None:
    source = {"repository": "someone/model", "path": "pictures", "commit": "0123456789"}
    record = {"weights": {}, "source": source}
    assert style.positions(record) == (None, None)
    assert style.origin("published", record) == "someone/model, pictures at commit 01234567"
