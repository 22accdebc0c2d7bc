"""The paper says what ``data/`` says, and nothing where ``data/`` says nothing."""

import json
import shutil
from io import BytesIO
from pathlib import Path

import pypdf
import pytest
import typst

from support import ROOT
from typeset import typeset

BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="3"/>'


def copy_to(folder: Path) -> Path:
    """Copy what the paper is made of, with blank figures: reading text out of real ones is slow."""
    for part in ("claims", "data", "figures", "paper"):
        unread = shutil.ignore_patterns("*.safetensors", "training")
        shutil.copytree(ROOT / part, folder / part, ignore=unread)
    for file in ("CITATION.cff", "params.yaml"):
        shutil.copy(ROOT / file, folder)
    for figure in (folder / "paper/figures").glob("*.svg"):
        figure.write_text(BLANK)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_to(tmp_path)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the paper says; that this is what is committed is tested with the pipeline."""
    return text(typeset(copy_to(tmp_path_factory.mktemp("paper"))))


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


def text(paper: bytes) -> str:
    pages = pypdf.PdfReader(BytesIO(paper)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_the_paper_has_every_claim(said: str) -> None:
    for claim in json.loads((ROOT / "data/verdicts/gpt2.json").read_text())["claims"]:
        assert claim["id"] in said


DISTANCE = "measured/distance_from_curve/mean_distance/average-50"
CHANGES = [
    ("gpt2/helix.json", "measured/shape/turns", 2.34567, "3.02 turns", "2.35 turns"),
    ("gpt2/helix.json", "controls/minilm/shape/turns", 45.6789, "86.9", "45.7"),
    ("gpt2/averaging.json", DISTANCE, 0.04567, "2.6%", "4.6%"),
    ("verdicts/gpt2.json", "statements/0/verdict", "refuted", "0 refuted,", "1 refuted,"),
]


def test_changed_numbers_change_the_text(copy: Path, said: str) -> None:
    for file, place, value, *_ in CHANGES:
        change(copy / "data" / file, place, value)
    after = text(typeset(copy))
    for *_, was, becomes in CHANGES:
        assert was in said
        assert becomes not in said
        assert becomes in after
        assert after.count(was) < said.count(was)


@pytest.mark.parametrize(
    ("file", "place", "named"),
    [
        ("gpt2/helix.json", "measured/shape/turns", '"turns"'),
        ("gpt2/positions.json", "measured/learned", '"learned"'),
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


def test_a_figure_that_is_not_drawn_is_said_to_be_so(copy: Path) -> None:
    about = {"drawn": False, "why": "not measured on gpt2: kernels"}
    (copy / "paper/figures/lookback.json").write_text(json.dumps(about))
    source = copy / "paper/main.typ"
    source.write_text(source.read_text().replace("(@figure-lookback)", ""))
    assert "Figure not drawn: not measured on gpt2: kernels" in text(typeset(copy))


def test_positions_of_any_name_are_quoted(copy: Path) -> None:
    digests = {"config.json": "0" * 64, "embeddings.position_embeddings.weight": "a" * 64}
    change(copy / "data/verdicts/gpt2.json", "subject/digests", digests)
    said = text(typeset(copy))
    assert "whose embeddings.position_embeddings.weight has sha256 aaaaaaaaaaaa." in said
