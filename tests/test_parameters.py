"""``params.yaml`` is checked when it is read: each choice that does not work is one line."""

import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpt2_helix import parameters
from gpt2_helix.judging.errors import InputError
from support import ROOT


def read_with(folder: Path, family: str, **changed: Any) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content[family] = {**content[family], **changed}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    parameters.of("agreement", path)
    return parameters.of(family, path)


def test_what_is_chosen_is_what_is_recorded() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    for family, choices in content.items():
        assert json.loads(json.dumps(parameters.of(family))) == choices


def measurements() -> Iterator[tuple[str, str, inspect.Parameter]]:
    for family in parameters.everything():
        if find_spec(f"gpt2_helix.measure.{family}"):
            for name, function in vars(import_module(f"gpt2_helix.measure.{family}")).items():
                if inspect.isfunction(function) and not name.startswith("_"):
                    for parameter in inspect.signature(function).parameters.values():
                        if parameter.name in parameters.of(family):
                            yield family, name, parameter


def test_a_measurement_has_the_same_choices_as_defaults() -> None:
    """One that is called on an array measures what is recorded."""
    found = [p for p in measurements() if p[2].kind is p[2].KEYWORD_ONLY]
    assert len(found) > 20
    for family, name, parameter in found:
        chosen = parameters.of(family)[parameter.name]
        chosen = tuple(chosen) if isinstance(chosen, list) else chosen
        assert parameter.default == chosen, f"{family}.{name}: {parameter.name}"


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
        ("averaging", {"doctorings": ["avrage-10"]}, "'avrage-10'; did you mean average-10"),
        ("output", {"doctorings": ["intact", "average-5"]}, "expected average-10"),
        ("output", {"windows": 1}, "output.windows: .*greater than or equal to 2"),
        ("repetition", {"every_offset": ["average-5"]}, "expected average-10, average-20"),
        ("repetition", {"larger": ["melted"]}, "expected a doctoring .* found 'melted'"),
        ("repetition", {"exchanges": 0}, "repetition.exchanges"),
        ("patterns", {"doctorings": ["intact"]}, "expected average-10"),
        ("patterns", {"positions": 1}, "patterns.positions"),
        ("helix", {"surrogates": 998}, "helix.surrogates: .*greater than or equal to 999"),
        ("helix", {"surogates": 99}, "helix.surogates: .*not permitted"),
    ],
)
def test_a_choice_that_does_not_work_is_refused(
    tmp_path: Path, family: str, changed: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=line) as refused:
        read_with(tmp_path, family, **changed)
    assert str(refused.value).startswith(f"params.yaml: {family}.")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[1]", "helix: {", "helix: 1", "helix: [1]", "\xff"])
def test_a_file_that_holds_no_parameters_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"params\.yaml") as refused:
        parameters.of("helix", path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the parameters in YAML"):
        parameters.of("helix", tmp_path / "params.yaml")
