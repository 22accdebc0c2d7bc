"""The paper says what ``data/`` says, and nothing where ``data/`` says nothing."""

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pytest
import typst

from support import ROOT
from typeset import typeset

Change = Callable[[Any], None]


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


def change(path: Path, how: Change) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def text(paper: bytes) -> str:
    pages = pypdf.PdfReader(BytesIO(paper)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_the_paper_has_every_claim(said: str) -> None:
    for claim in json.loads((ROOT / "data/verdicts/gpt2.json").read_text())["claims"]:
        assert claim["id"] in said


CHANGES: list[tuple[str, Change, str, str]] = [
    (
        "gpt2/helix.json",
        lambda c: c["measured"]["shape"].update(turns=2.34567),
        "3.02 turns",
        "2.35 turns",
    ),
    (
        "gpt2/helix.json",
        lambda c: c["controls"]["minilm"]["shape"].update(turns=45.6789),
        "86.9",
        "45.7",
    ),
    (
        "gpt2/averaging.json",
        lambda c: c["measured"]["distance_from_curve"]["mean_distance"].update(
            {"average-50": 0.04567}
        ),
        "2.6%",
        "4.6%",
    ),
    (
        "verdicts/gpt2.json",
        lambda c: c["statements"][0].update(verdict="refuted"),
        "0 refuted,",
        "1 refuted,",
    ),
]


def test_changed_numbers_change_the_text(copy: Path, said: str) -> None:
    for file, how, *_ in CHANGES:
        change(copy / "data" / file, how)
    after = text(typeset(copy))
    for *_, was, becomes in CHANGES:
        assert was in said
        assert becomes not in said
        assert becomes in after
        assert after.count(was) < said.count(was)


@pytest.mark.parametrize(
    ("file", "how", "named"),
    [
        ("gpt2/helix.json", lambda c: c["measured"]["shape"].pop("turns"), '"turns"'),
        ("gpt2/positions.json", lambda c: c["measured"].pop("learned"), '"learned"'),
        ("verdicts/gpt2.json", lambda c: c["claims"][1].pop("tolerance"), '"tolerance"'),
        ("verdicts/gpt2.json", lambda c: c["claims"].pop(2), "no verdict on helix.axis"),
    ],
)
def test_a_missing_key_ends_the_build_and_is_named(
    copy: Path, file: str, how: Change, named: str
) -> None:
    change(copy / "data" / file, how)
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
    def rename(content: Any) -> None:
        digests = content["subject"]["digests"]
        digests.clear()
        digests |= {"config.json": "0" * 64, "embeddings.position_embeddings.weight": "a" * 64}

    change(copy / "data/verdicts/gpt2.json", rename)
    said = text(typeset(copy))
    assert "whose embeddings.position_embeddings.weight has sha256 aaaaaaaaaaaa." in said
