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


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in ("claims", "data", "figures", "paper"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for file in ("CITATION.cff", "params.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def change(path: Path, how: Change) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def text(paper: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(paper)).pages)


def test_the_paper_has_every_claim() -> None:
    said = text((ROOT / "paper/gpt2-helix.pdf").read_bytes())
    for claim in json.loads((ROOT / "data/verdicts/gpt2.json").read_text())["claims"]:
        assert claim["id"] in said


@pytest.mark.parametrize(
    ("file", "how", "was", "becomes"),
    [
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
    ],
)
def test_a_changed_number_changes_the_text(
    copy: Path, file: str, how: Change, was: str, becomes: str
) -> None:
    before = " ".join(text(typeset(copy)).split())
    assert was in before
    assert becomes not in before
    change(copy / "data" / file, how)
    after = " ".join(text(typeset(copy)).split())
    assert becomes in after
    assert after.count(was) < before.count(was)


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
    said = " ".join(text(typeset(copy)).split())
    assert "whose embeddings.position_embeddings.weight has sha256 aaaaaaaaaaaa." in said
