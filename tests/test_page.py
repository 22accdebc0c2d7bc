"""The interactive page, in a browser, opened from disk."""

import json
import re
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

import browsing
import draw
import explore
import style
from browsing import complaints, in_browser
from gpt2_helix.doctoring import average_in_groups, group_size
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.records import digest_of
from support import ROOT

PAGE = ROOT / "paper/figures/explore.html"


@pytest.fixture
def browser(chrome: webdriver.Chrome) -> webdriver.Chrome:
    """The page as it opens, at the window's own size and in its own colours."""
    browsing.look(chrome)
    chrome.get(PAGE.as_uri())
    return chrome


def test_the_page_is_what_the_data_make_and_asks_for_nothing_else() -> None:
    text = PAGE.read_text()
    assert text == explore.page(style.SUBJECT)
    assert not [mark for mark in ("http:", "https:", "src=", "<link", "import(") if mark in text]


def number(value: float) -> str:
    """A number as the page's script says it."""
    return f"{float(f'{value:.2g}'):g}"


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"data/verdicts/{style.SUBJECT}.json").read_text())
    return found


def test_every_statement_and_every_claim_pictured_is_told_once() -> None:
    text = PAGE.read_text().replace("&nbsp;%", " %")
    for statement in report()["statements"]:
        assert text.count(f"{statement['verdict']}</strong> {escape(statement['says'])}") == 1
    pictured = [name for named in explore.PICTURED.values() for name in named]
    for claim in report()["claims"]:
        told = f">{claim['id']}</a>"
        assert text.count(told) == pictured.count(claim["id"])
    assert len(set(pictured)) == len(pictured)


def test_links_to_claims_lead_to_their_numbers() -> None:
    headings = (ROOT / f"data/verdicts/{style.SUBJECT}.md").read_text().splitlines()
    places = {explore.anchor(line.lstrip("# ")) for line in headings if line.startswith("#")}
    linked = re.findall(r'href="(?:[^"#]*)#([^"]*)"', PAGE.read_text())
    assert len(linked) == sum(map(len, explore.PICTURED.values()))
    assert set(linked) <= places


@in_browser
def test_the_slider_moves_every_picture(browser: webdriver.Chrome) -> None:
    def ask(script: str) -> Any:
        return browser.execute_script(f"return {script}")

    def find(name: str) -> WebElement:
        return browser.find_element(By.ID, name)

    def told(name: str) -> str:
        return " ".join(find(name).text.split())

    # By keyboard. The points are the means that the doctoring makes.
    curve = style.read_curve(style.SUBJECT)[:-1]
    kernels = style.read_record(style.SUBJECT, "kernels")["measured"]["local_heads"]
    every_head = style.read_record(style.SUBJECT, "sensitivity")["measured"]["every_head"]
    slider = find("size")
    assert find("chosen").text == "10"
    check_published_order(str(find("heads-by-order").get_attribute("aria-label")))
    slider.send_keys(Keys.HOME)
    seen = set()
    for name in style.read_record(style.SUBJECT, "kernels")["parameters"]["doctorings"]:
        size = group_size(name)
        assert size
        rows = average_in_groups(curve, size)[1:]
        np.testing.assert_allclose(ask("groups.map(g => g.mean)"), rows[::size], atol=1e-9)
        assert find("chosen").text.split()[0] == str(size)
        for head, ahead in kernels["offset_without_mask"].items():
            assert f"{head} intact: looks {number(ahead)} tokens ahead" in told("unmasked")
        captions = ask("[...document.querySelectorAll('#kernels span')].map(e => e.textContent)")
        for head, caption in zip(kernels["kernel"], captions, strict=True):
            assert f"back {kernels['look_back'][head][name]:.2g} tokens" in caption
        if size > 1:
            check_averaged(find, name)
        # A half goes up, as in JavaScript.
        percents = [int(100 * found + 0.5) for found in every_head["attention"][name].values()]
        cells = ask("[...document.querySelectorAll('#grid tbody td')].map(e => +e.textContent)")
        assert cells == percents
        seen.add(ask("canvas.toDataURL() + find('kernels').innerHTML + find('profile').innerHTML"))
        slider.send_keys(Keys.ARROW_RIGHT)
    assert len(seen) == int(slider.get_attribute("max") or 0) + 1
    assert complaints(browser) == []


def check_averaged(find: Callable[[str], WebElement], name: str) -> None:
    """What the main heads keep, where they look and what is rebuilt is what the records say."""
    alone = style.read_record(style.SUBJECT, "attention_only")["measured"]["averaged"]
    share = style.read_record(style.SUBJECT, "rebuilt")["measured"]["by_layer"]["share"]
    works = style.bound("attention-only.survives-averaging", "kept_20")
    for head, kept in alone["kept"][name].items():
        said = str(find("kept-by-size").get_attribute("aria-label"))
        assert f"{head} {number(kept['mean'])}" in said
        word = "works" if kept["low"] >= works else "broken" if kept["high"] <= works else "open"
        assert f"{head} {word}" in find("said").text
    numbers = ", ".join(f"{of['mean']:.2f}" for of in share[name].values())
    assert numbers in str(find("rebuilt-by-layer").get_attribute("aria-label"))
    at_0, at_1 = next(iter(alone["profile"][name].values()))[:2]
    said = f"groups of {group_size(name)}: {at_0:.2f} at 0, {at_1:.2f} at -1"
    assert said in find("profile").text


def check_published_order(said: str) -> None:
    """The picture of every head beside the whole model has the number of its claim."""
    (claim,) = (c for c in report()["claims"] if c["id"] == "attention-only.published")
    rank = claim["measured"]["rank_correlation_intact"]
    assert said == f"Rank correlation of 144 heads: {rank:.2f}"


@in_browser
def test_the_first_screen_says_what_was_found_and_what_is_open(
    browser: webdriver.Chrome,
) -> None:
    browsing.look(browser, 1280, height=900)
    browser.refresh()
    lead = browser.find_element(By.TAG_NAME, "header").text.replace("\N{NO-BREAK SPACE}", " ")
    for sentence in report()["found"]:
        assert sentence in lead
    for statement in report()["statements"]:
        waits = statement["verdict"] == "blocked"
        assert (statement["says"] in lead.partition("Open")[2]) is waits
    kept = style.read_record(style.SUBJECT, "attention_only")["measured"]["averaged"]["kept"]
    assert f"{', '.join(kept['zeroed'])}: attention heads" in lead
    canvas = browser.find_element(By.ID, "view").rect
    assert canvas["y"] + canvas["height"] <= 900
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#profile h3")]
    assert rows == ["Attention alone", "Whole model on text, from the author's pictures"]


@in_browser
@pytest.mark.parametrize("width", [1, 60])
def test_a_window_of_hardly_any_width_is_no_error(browser: webdriver.Chrome, width: int) -> None:
    browsing.look(browser, width)
    browser.refresh()
    assert complaints(browser) == []


@in_browser
def test_an_intervention_changes_what_the_heads_keep(browser: webdriver.Chrome) -> None:
    found = style.read_record(style.SUBJECT, "cause")["measured"]
    first = next(iter(found["costs"]["cost"]))
    chart, words = (browser.find_element(By.ID, name) for name in ("kept-by-edit", "edited"))
    edit = Select(browser.find_element(By.ID, "edit"))
    assert "keeps 1," in str(chart.get_attribute("aria-label"))
    for chosen, name, in_groups in (
        (f"{first} of layer 0 held at its mean", "one_head", f"average-20, {first} held"),
        ("no causal mask in layer 0", "causal_mask", "average-20, no mask in layer 0"),
    ):
        edit.select_by_visible_text(chosen)
        kept, averaged = found[name]["kept"], found["beside"]["kept"][in_groups]
        for head, of in kept.items():
            in_20 = number(averaged[head]["mean"])
            said = f"{head} keeps {number(of['mean'])}, {in_20} in groups of 20"
            assert said in str(chart.get_attribute("aria-label"))
            assert f"{of['mean']:.2f}" in words.text
        assert len(chart.find_elements(By.CLASS_NAME, "hollow")) == len(kept)
    edit.select_by_visible_text(f"{first} made a plain average of the past")
    assert chart.find_elements(By.CLASS_NAME, "hollow") == []
    assert complaints(browser) == []


@in_browser
def test_the_helix_turns_and_names_positions(browser: webdriver.Chrome) -> None:
    def ask(script: str) -> Any:
        return browser.execute_script(f"return {script}")

    canvas, named = browser.find_element(By.ID, "view"), browser.find_element(By.ID, "named")
    browser.execute_script("canvas.scrollIntoView({ block: 'center' })")
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
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_and_is_legible(browser: webdriver.Chrome, scheme: str, width: int) -> None:
    browsing.look(browser, width, scheme)
    browser.refresh()  # Drawn again at this width.
    browsing.check(browser, width)
    assert complaints(browser) == []


def test_a_subject_that_is_no_gpt2_has_a_page_and_figures_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(style.DATA / "mini", tmp_path / "bert", ignore=shutil.ignore_patterns("model"))
    record = tmp_path / "bert/helix.json"
    content = json.loads(record.read_text())
    name, sha256 = "embeddings.position_embeddings.weight", "b" * 64
    content["weights"] = {"config.json": "c", name: sha256}
    record.write_text(json.dumps({**content, "digest": digest_of(content)}))
    for family in ("attention_only", "cause", "rebuilt"):
        (tmp_path / f"bert/{family}.json").unlink(missing_ok=True)
    (tmp_path / "verdicts").mkdir()
    shutil.copy(style.DATA / "verdicts/mini.json", tmp_path / "verdicts/bert.json")
    monkeypatch.setattr(style, "DATA", tmp_path)
    text = explore.page("bert")
    assert f"bert, {name} sha256 bbbbbbbbbbbb" in text
    assert "<title>Averaging the positions of bert</title>" in text
    assert '"rebuilt":' not in text
    monkeypatch.setattr(style, "SUBJECT", "bert")
    about = draw.write("components", tmp_path)
    assert about["W_pos_sha256"] == sha256
    assert about["origin"] == f"bert, {name} sha256 bbbbbbbbbbbb"


def test_a_figure_of_what_others_published_names_its_source() -> None:
    source = {"repository": "someone/model", "path": "pictures", "commit": "0123456789"}
    record = {"weights": {}, "source": source}
    assert style.positions(record) == (None, None)
    assert style.origin("published", record) == "someone/model, pictures at commit 01234567"


def test_a_figure_of_no_such_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw.main(["zoom", "loopback"])
    assert capsys.readouterr().err.endswith("found loopback\n")


CLAIMS = {claim.id for _, _, claim in declared(ROOT / "claims")}


@pytest.mark.parametrize("name", draw.names())
def test_a_figure_fits_the_paper_is_legible_and_says_what_it_shows(name: str) -> None:
    module = draw.module_of(name)
    assert set(module.CLAIMS) <= CLAIMS
    if draw.not_measured(module):
        assert name in ("output", "repetition")
        return
    figure, caption, alt = module.draw(*draw.subjects_of(module))
    figure.draw_without_rendering()
    # A little more than the paper's text is wide shrinks nothing that the eye can see.
    assert figure.get_tightbbox().width + 2 * draw.MARGIN <= 1.01 * style.WIDTH
    small = [
        text.get_text()
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text() and text.get_fontsize() < style.SMALL
    ]
    assert small == []
    assert alt.endswith(".")
    assert re.search(r"\d", alt)
    assert not re.search(r"[0-9a-f]{8,}|nan", caption + alt)
    plt.close(figure)


def test_a_figure_is_drawn_in_the_same_bytes_each_time(tmp_path: Path) -> None:
    drawn = []
    for place in ("once", "again"):
        (tmp_path / place).mkdir()
        about = draw.write("argument", tmp_path / place)
        files = [(tmp_path / place / f"argument.{kind}").read_bytes() for kind in ("svg", "png")]
        drawn.append((about, files))
    assert drawn[0] == drawn[1]
    assert {"caption", "alt", "origin", "width_cm"} <= set(drawn[0][0])


def test_names_of_lines_stand_apart_and_in_order() -> None:
    figure, axes = plt.subplots()
    axes.set_ylim(0, 1)
    style.label_ends(axes, {"low": (0.0, "r"), "high": (0.03, "b"), "far": (0.9, "g")}, gap=0.1)
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights["low"] >= 0
    assert heights["high"] - heights["low"] >= 0.1 - 1e-6
    assert heights["far"] == pytest.approx(0.9)
    plt.close(figure)


def test_numbers_are_shown_by_their_ends() -> None:
    assert style.shown([0.251, 0.149, 0.2]) == "0.15 to 0.25"
    assert style.shown([0.5, 0.501]) == "0.50"
    assert style.shown([0.999, 1.011], ".1%") == "99.9 to 101.1 %"
