"""``params.yaml`` is checked when it is read: each choice that does not work is one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gpt2_helix import parameters
from gpt2_helix.judging.errors import SubjectError
from support import ROOT


def read_with(folder: Path, family: str, **changed: Any) -> parameters.Parameters:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content[family] = {**content[family], **changed}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return parameters.read(path)


def test_what_is_chosen_is_what_is_recorded() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    families = parameters.read(ROOT / "params.yaml").by_family
    assert {family: families[family] for family in content} == content


@pytest.mark.parametrize(
    ("family", "changed", "line"),
    [
        # Keys before the first position would be those of the last.
        ("kernels", {"queries": [10, 500]}, "queries as .* with 11 <= first .* found .10, 500"),
        ("kernels", {"queries": [100, 600]}, "stop <= 512, found .100, 600"),
        ("kernels", {"queries": [300, 200]}, "first < stop"),
        ("kernels", {"queries_of_main_heads": [0, 300]}, "with 1 <= first"),
        ("kernels", {"distances": 2}, "kernels.distances: .*greater than or equal to 5"),
        ("kernels", {"doctorings": ["intact"]}, "expected average-5, .* of which a claim speaks"),
        ("kernels", {"distances": "12"}, "kernels.distances: .*valid integer"),
        ("kernels", {"queries": 100}, "kernels.queries: .*valid tuple"),
        ("kernels", {"queries": [100, "500"]}, "kernels.queries.1: .*valid integer"),
        ("attention_only", {"draws": 33}, "attention_only.draws: .*multiple of 2"),
        ("attention_only", {"positions": 100}, "positions: expected 201 or more, .* found 100"),
        ("averaging", {"doctorings": ["average-10"]}, "expected average-20, average-50"),
        ("averaging", {"doctorings": ["average-0"]}, "expected a doctoring .* found 'average-0'"),
        ("output", {"doctorings": ["intact", "average-5"]}, "expected average-10"),
        ("output", {"windows": 1}, "output.windows: .*greater than or equal to 2"),
        ("repetition", {"every_offset": ["average-5"]}, "expected average-10, average-20"),
        ("repetition", {"larger": ["melted"]}, "expected a doctoring .* found 'melted'"),
        ("repetition", {"exchanges": 0}, "repetition.exchanges"),
        ("patterns", {"doctorings": ["intact"]}, "expected average-10"),
        ("patterns", {"positions": 1}, "patterns.positions"),
        ("helix", {"surrogates": 98}, "helix.surrogates: .*greater than or equal to 99"),
        ("helix", {"surogates": 99}, "helix.surogates: .*not permitted"),
    ],
)
def test_a_choice_that_does_not_work_is_refused(
    tmp_path: Path, family: str, changed: dict[str, Any], line: str
) -> None:
    with pytest.raises(SubjectError, match=line) as refused:
        read_with(tmp_path, family, **changed)
    assert str(refused.value).startswith(f"params.yaml: {family}")
    assert "\n" not in str(refused.value)


KERNELS = (ROOT / "params.yaml").read_text().partition("kernels:")[0] + "kernels: "


@pytest.mark.parametrize(
    "text", ["", "[1]", "helix: {", "helix: 1", f"{KERNELS}null", f"{KERNELS}[1]", "\xff"]
)
def test_a_file_that_holds_no_parameters_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SubjectError, match=r"params\.yaml") as refused:
        parameters.read(path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="expected the parameters in YAML"):
        parameters.read(tmp_path / "params.yaml")
