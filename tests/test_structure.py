"""The layers: who may import whom, and that every module imports alone."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import traceback
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

from support import ROOT


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[parts[0] == "src" :]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ROOMS = {"gpt2_helix": "src/gpt2_helix", "pipeline": "pipeline"}
MODULES = {
    name_of(path): path for room in ROOMS.values() for path in sorted((ROOT / room).rglob("*.py"))
}


def statements(tree: ast.AST, *, in_functions: bool) -> list[ast.Import | ast.ImportFrom]:
    """Import statements that run, those inside functions if asked for."""
    found: list[ast.Import | ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found += [s for part in node.orelse for s in statements(part, in_functions=True)]
        elif in_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += statements(node, in_functions=in_functions)
    return found


@cache
def imports(path: Path, module: str = "", *, in_functions: bool = True) -> set[str]:
    """What a file imports: this project's modules in full, and packages."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in statements(ast.parse(path.read_text()), in_functions=in_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:
            full = f"{base}.{alias.name}"
            found.add(full if full in MODULES else base)
    return found - {module}


OWN = {module: imports(path, module) for module, path in MODULES.items()}


def reached(module: str, *, in_functions: bool = True) -> set[str]:
    """What a module imports, and what these import, and so on."""
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        new = {
            imported
            for name in new & MODULES.keys()
            for imported in imports(MODULES[name], name, in_functions=in_functions)
        } - found
    return found - {module}


def test_no_module_imports_one_that_imports_it_even_inside_functions() -> None:
    order = TopologicalSorter({module: found & MODULES.keys() for module, found in OWN.items()})
    order.prepare()  # Raises CycleError, which shows the circle.


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_every_module_imports_alone() -> None:
    """Each where nothing of this project is imported yet; what others wrote is shared."""
    own = {*ROOMS, *sys.stdlib_module_names}
    for name in set().union(*OWN.values()):
        if name.partition(".")[0] not in own:
            importlib.import_module(name)
    child = os.fork()
    if not child:
        status = 1
        try:
            # As users import them: checking shapes takes longer than importing.
            sys.meta_path[:] = [f for f in sys.meta_path if "jaxtyping" not in repr(type(f))]
            for name in MODULES:
                for held in [m for m in sys.modules if m.partition(".")[0] in ROOMS]:
                    del sys.modules[held]
                importlib.import_module(name)
            status = 0
        except Exception:
            print(f"{name} does not import alone:\n{traceback.format_exc()}", flush=True)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


TEST_TOOLS = {"pytest", "_pytest", "gpt2_helix.plugin"}
DRAWING = {"matplotlib", "dvc"}
MODELS = {
    "gpt2_helix.models",
    "gpt2_helix.weights",
    "gpt2_helix.measure",
    "gpt2_helix.suite.subjects",
}
LAYERS = [
    # Layer, what it never imports, and whether imports inside functions count.
    ("gpt2_helix", {"pipeline"}, True),
    *(
        (f"gpt2_helix.{layer}", {*TEST_TOOLS, *DRAWING, *MODELS, "torch"}, True)
        for layer in ("judging.trial", "judging.terminal", "judging.page", "suite.statements")
    ),
    ("gpt2_helix.measure", {*TEST_TOOLS, *DRAWING, "gpt2_helix.suite.subjects"}, True),
    ("gpt2_helix.measure", {"torch"}, False),
    ("gpt2_helix.models", {*TEST_TOOLS, *DRAWING, "gpt2_helix.suite.subjects"}, True),
    ("gpt2_helix.weights", {*TEST_TOOLS, *DRAWING, *MODELS - {"gpt2_helix.weights"}}, True),
    # What claims about positions wait for.
    ("gpt2_helix.suite.subjects", {"torch", "transformers", "pyarrow", "scipy.stats"}, False),
]


def inside(names: set[str], packages: set[str]) -> set[str]:
    return {n for n in names if any(n == p or n.startswith(f"{p}.") for p in packages)}


@pytest.mark.parametrize(("layer", "never", "in_functions"), LAYERS)
def test_a_layer_imports_nothing_from_above(
    layer: str, never: set[str], in_functions: bool
) -> None:
    modules = inside(set(MODULES), {layer})
    assert modules
    for module in sorted(modules):
        found = inside(reached(module, in_functions=in_functions), never)
        assert not found, f"{module} imports {', '.join(sorted(found))}"


def test_the_engine_imports_nothing_of_what_it_judges() -> None:
    for module in inside(set(MODULES), {"gpt2_helix.judging"}):
        others = inside(reached(module), {"gpt2_helix", "torch", "transformers"})
        assert others == inside(others, {"gpt2_helix.judging"})
    for path in (ROOT / "src/gpt2_helix/judging").iterdir():
        if path.is_file():
            assert not re.search(r"GPT|wpe|attention|model|helix(?!\.judging)", path.read_text())


def test_the_guide_shows_the_suite_that_the_engine_s_tests_run() -> None:
    _, suite = (ROOT / "tests/judging/dice.py").read_text().split('"""\n', 1)
    assert suite.strip() in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_engine_and_its_tests_run_without_the_rest_of_the_package(tmp_path: Path) -> None:
    for part in ("src/gpt2_helix/judging", "tests/judging"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/gpt2_helix/__init__.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "tests", "-q", "-p", "gpt2_helix.judging.plugin"]
    ran = subprocess.run(
        [*command, "--import-mode=importlib", "-p", "no:anyio", "-p", "no:hypothesispytest"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}{os.pathsep}{tmp_path / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


@pytest.mark.parametrize("room", ["figures", "paper"])
def test_what_is_drawn_comes_from_records_and_not_from_a_model(room: str) -> None:
    for path in (ROOT / room).glob("*.py"):
        found = imports(path)
        for name in found & MODULES.keys():
            found = found | reached(name, in_functions=False)
        never = {"torch", "gpt2_helix.models.model", "gpt2_helix.suite.subjects"}
        assert not inside(found, never), f"{path.name}: {inside(found, never)}"
