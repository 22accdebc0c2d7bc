"""The paper says what ``data/`` says, and nothing where ``data/`` says nothing."""

import json
import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pytest
import typst

from support import ROOT
from typeset import typeset

SIZE = re.compile(r' (width|height|viewBox)="[^"]+"')
BODY = 7
"""Pages at most before the references, as such reports have it."""
SUMMARY = (
    "Scope of reproducibility",
    "Methodology",
    "Results",
    "What was easy",
    "What was difficult",
    "Communication with original authors",
)
UNCLEAR = (
    r"\banew\b",
    r"for want of",
    r"what is recorded of",
    r"\ba row each\b",
    r"what came of it",
    r"number that says most",
    r"what leans on",
    r"judged in part",
    r"\bless the (grand |)mean\b",
    r"lose some of their sight",
    r"find(s|ing)? the previous token",
)
"""Words that a reader stumbles over, or that say more than was found."""
DIGEST = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b")
TYPED = re.compile(r"\b\d+\.\d+\b(?!\d*(pt|cm|em|fr|%))|\d[ ~\u00a0]%")
"""A decimal or a share, but for lengths: in code ``78%`` has no space, ``3.4pt`` a unit."""


def copy_to(folder: Path) -> Path:
    """Copy what the paper is made of, with blank figures: reading text out of real ones is slow.

    They keep their size, and so the pages theirs.
    """
    for part in ("claims", "data", "figures", "paper"):
        unread = shutil.ignore_patterns("*.safetensors", "training")
        shutil.copytree(ROOT / part, folder / part, ignore=unread)
    for file in ("CITATION.cff", "params.yaml"):
        shutil.copy(ROOT / file, folder)
    for figure in (folder / "paper/figures").glob("*.svg"):
        first = figure.read_text()[:2000].split("<svg", 1)[1].split(">", 1)[0]
        size = "".join(found.group() for found in SIZE.finditer(first))
        figure.write_text(f'<svg xmlns="http://www.w3.org/2000/svg"{size}/>')
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_to(tmp_path)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> pypdf.PdfReader:
    """The paper; that this is what is committed is tested with the pipeline."""
    return pypdf.PdfReader(BytesIO(typeset(copy_to(tmp_path_factory.mktemp("paper")))))


@pytest.fixture(scope="module")
def pages(paper: pypdf.PdfReader) -> list[str]:
    return ["".join(page.extract_text()) for page in paper.pages]


@pytest.fixture(scope="module")
def said(pages: list[str]) -> str:
    return joined(pages)


def joined(pages: list[str]) -> str:
    return " ".join(" ".join(pages).split())


def text(paper: bytes) -> str:
    return joined([page.extract_text() for page in pypdf.PdfReader(BytesIO(paper)).pages])


def starts(pages: list[str], heading: str) -> int:
    """The page, from 0, that begins with a heading."""
    return next(n for n, said in enumerate(pages) if said.startswith(heading))


def change(path: Path, place: str, value: object = None) -> None:
    """Change what stands at a place in a JSON file, or leave it out."""
    content = held = json.loads(path.read_text())
    *way, last = [int(key) if key.isdigit() else key for key in place.split("/")]
    for key in way:
        held = held[key]
    if value is None:
        del held[last]
    else:
        held[last] = value
    path.write_text(json.dumps(content))


def test_the_paper_has_every_claim_and_every_bound(said: str) -> None:
    for claim in json.loads((ROOT / "data/verdicts/gpt2.json").read_text())["claims"]:
        assert claim["id"] in said
        for bound in claim["tolerance"].values():
            assert bound in said


def test_the_summary_is_on_the_first_page(pages: list[str]) -> None:
    first = joined(pages[:1])
    assert [head for head in SUMMARY if f"{head}." not in first] == []
    assert first.startswith("[Re] The positional embedding matrix")


def test_the_body_is_short(pages: list[str]) -> None:
    assert starts(pages, "References") <= BODY


def test_digests_stand_in_one_appendix(pages: list[str]) -> None:
    """And in addresses of what is cited."""
    references, methods = starts(pages, "References"), starts(pages, "A Methods")
    records = starts(pages, "E Weights")
    elsewhere = [*pages[:references], *pages[methods:records]]
    assert DIGEST.findall(joined(elsewhere)) == []
    listed = joined(pages[records:])
    for record in (ROOT / "data/gpt2").glob("*.json"):
        for digest in json.loads(record.read_text())["weights"].values():
            assert digest in listed


def test_no_number_is_typed() -> None:
    """Shares and decimals are read from the records; ``data.typ`` has no prose."""
    for source in (ROOT / "paper").glob("*.typ"):
        for n, line in enumerate(source.read_text().splitlines(), 1):
            if source.stem != "data":
                assert not typed(line), f"{source.name}:{n}: {line}"


def typed(line: str) -> bool:
    """Whether a line has a decimal or a share that is neither a condition nor how sure to be."""
    if line.startswith(("#so(", "#let", "#set")):
        return False
    return bool(TYPED.search(line.replace("95 %", "")))


def test_a_typed_number_is_seen() -> None:
    assert typed("the three hold 91 % of the variance")
    assert typed("a rank correlation of 0.85 on the pictures")
    assert not typed("  inset: (x: 5pt, y: 3.4pt), width: 78%, groups of 20, with 95 % intervals")


def test_every_figure_has_a_text_for_who_does_not_see_it(paper: pypdf.PdfReader) -> None:
    figures = [found for found in structure(paper) if found.get("/S") == "/Figure"]
    drawn = [about for about in captions().values() if about["drawn"]]
    assert len(figures) > 10
    assert all(len(str(found.get("/Alt", ""))) > 40 for found in figures)
    assert len(figures) <= len(drawn)


def captions() -> dict[str, Any]:
    return {p.stem: json.loads(p.read_text()) for p in (ROOT / "paper/figures").glob("*.json")}


def structure(paper: pypdf.PdfReader) -> Iterator[Any]:
    """Every element of the structure that readers of the text follow."""
    open_ones: list[Any] = [paper.root_object["/StructTreeRoot"]]
    while open_ones:
        element = open_ones.pop().get_object()
        if isinstance(element, pypdf.generic.ArrayObject):
            open_ones += element
        elif isinstance(element, pypdf.generic.DictionaryObject):
            yield element
            if "/K" in element:
                open_ones.append(element["/K"])


@pytest.mark.parametrize("word", UNCLEAR)
def test_the_words_are_plain(said: str, word: str) -> None:
    assert re.findall(f".{{0,40}}{word}.{{0,40}}", said, re.IGNORECASE) == []


DISTANCE = "measured/distance_from_curve/mean_distance/average-100"
CHANGES = [
    ("gpt2/helix.json", "measured/shape/turns", 2.34567, "turn, 3.0 times", "turn, 2.3 times"),
    ("gpt2/helix.json", "controls/minilm/shape/turns", 45.6789, "the 87 turns", "the 46 turns"),
    ("gpt2/averaging.json", DISTANCE, 0.0567, "hundred 8.9 %", "hundred 5.7 %"),
    ("verdicts/gpt2.json", "statements/0/verdict", "undecided", "1 confirmed,", "4 undecided"),
]


def test_changed_numbers_change_the_text(copy: Path, said: str) -> None:
    for file, place, value, *_ in CHANGES:
        change(copy / "data" / file, place, value)
    after = text(typeset(copy)).replace("\u00a0", " ")
    before = said.replace("\u00a0", " ")
    for *_, was, becomes in CHANGES[:-1]:
        assert was in before
        assert becomes not in before
        assert becomes in after
        assert after.count(was) < before.count(was)
    assert results(before) != results(after)


def results(said: str) -> str:
    return said[said.index("Results.") : said.index("What was easy")]


@pytest.mark.parametrize(
    ("file", "place", "named"),
    [
        ("gpt2/helix.json", "measured/shape/turns", '"turns"'),
        ("gpt2/positions.json", "measured/learned", '"learned"'),
        ("gpt2/cause.json", "measured/one_head/cost", '"cost"'),
        ("verdicts/gpt2.json", "claims/1/tolerance", '"tolerance"'),
        ("verdicts/gpt2.json", "claims/2", "no verdict on helix.axis"),
    ],
)
def test_a_missing_key_ends_the_build_and_is_named(
    copy: Path, file: str, place: str, named: str
) -> None:
    change(copy / "data" / file, place)
    with pytest.raises(typst.TypstError) as raised:
        typeset(copy)
    assert named in raised.value.message


def test_words_that_numbers_no_longer_bear_end_the_build(copy: Path) -> None:
    change(
        copy / "data/gpt2/attention_only.json", "measured/averaged/kept/average-50/L3H3/low", 0.1
    )
    with pytest.raises(typst.TypstError, match="no longer so"):
        typeset(copy)


def test_a_figure_that_is_not_drawn_is_said_to_be_so(copy: Path) -> None:
    about = {"drawn": False, "why": "not measured on gpt2: kernels"}
    (copy / "paper/figures/kernels.json").write_text(json.dumps(about))
    (copy / "paper/figures/zoom.json").unlink()
    after = text(typeset(copy))
    assert "Figure not drawn: not measured on gpt2: kernels" in after
    assert "Figure not drawn: no file paper/figures/zoom.json" in after
