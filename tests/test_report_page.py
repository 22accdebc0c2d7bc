"""The page of a report, in a browser, opened from disk."""

import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

import browsing
import gpt2_helix as gh
from browsing import complaints, in_browser
from gpt2_helix.judging import page
from gpt2_helix.suite.gpt2 import figures_of
from gpt2_helix.suite.statements import WORDS
from support import ROOT

RED = """
// The colour of a verdict that is refuted, and of every text on a control that fails as it must.
const at = document.body.appendChild(document.createElement("span"));
at.className = "refuted";
const red = getComputedStyle(at).color;
at.remove();
const fails = e => e.textContent.includes("fails here, as it must");
const controls = [...document.querySelectorAll("details li")].filter(fails);
return [red, controls.map(e => getComputedStyle(e).color)];
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of two recorded subjects."""
    made = {}
    for name in ("gpt2", "mini"):
        report = gh.judge(f"recorded:{name}").report
        figures = figures_of(report, ROOT / "paper/figures")
        made[name] = page.write(tmp_path_factory.mktemp(name), report, WORDS, figures)
    return made


@in_browser
@pytest.mark.parametrize("name", ["gpt2", "mini"])
def test_statements_are_on_the_first_screen_and_claims_are_folded(
    chrome: webdriver.Chrome, pages: dict[str, Path], name: str
) -> None:
    browsing.look(chrome, 1280, height=900)
    chrome.get(pages[name].as_uri())
    assert "Open:" in chrome.find_element(By.TAG_NAME, "body").text
    (table,) = chrome.find_elements(By.CLASS_NAME, "statements")
    assert table.rect["y"] + table.rect["height"] <= 900
    assert chrome.execute_script("return document.documentElement.scrollHeight") <= 4 * 900
    assert chrome.find_elements(By.CSS_SELECTOR, "details[open]") == []


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_and_is_legible_with_every_claim_open(
    chrome: webdriver.Chrome, pages: dict[str, Path], scheme: str, width: int
) -> None:
    browsing.look(chrome, width, scheme)
    for path in pages.values():
        chrome.get(path.as_uri())
        browsing.check(chrome, width)
        chrome.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
        browsing.check(chrome, width)
        red, controls = chrome.execute_script(RED)
        assert len(controls) > 20
        assert red not in controls
    assert complaints(chrome) == []


def test_what_gpt2_lacks_is_not_told_of_another_model(pages: dict[str, Path]) -> None:
    assert "is not drawn: not measured: output on gpt2." in pages["gpt2"].read_text()
    assert "is not drawn" not in pages["mini"].read_text()
    # The figure of replications is drawn from its positions.
    assert re.findall(r'<figure id="([^"]*)"', pages["mini"].read_text()) == ["figure-replication"]
