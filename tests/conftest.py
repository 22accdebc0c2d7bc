"""Shapes are checked in all of the tests; what several tests need is made here."""

import gc
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jaxtyping import install_import_hook
from safetensors.numpy import save_file

# Before anything of the package is imported, here below too.
install_import_hook("gpt2_helix", "checked.checked")

from gpt2_helix.weights.tensors import Array  # noqa: E402
from judging.running import run_pytest  # noqa: E402
from support import CONFIG, ROOT, Claims, Folder, Judge, Judged, Run, helix_rows  # noqa: E402

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SOME_CLAIM = '''
import pytest

from gpt2_helix.judging.claim import Measured, Subject
from gpt2_helix.measure import positions


@pytest.mark.claim(
    "positions.learned",
    statement="learned",
    post="Introduction",
    needs="P",
    tolerance={"beyond_sinusoids": ">= 0.01"},
    set="before",
    why="A table is reproduced by its formula.",
    refuted_by=["sinusoidal"],
)
def test_learned(subject: Subject, measured: Measured) -> None:
    """No table of sinusoids reproduces the positions."""
    assert measured(beyond_sinusoids=subject.measure(positions.learned).beyond_sinusoids)
'''


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what stays, torch and transformers among it.

    Each run of claims in this process calls it.
    """
    gc.disable()
    done = yield
    gc.freeze()
    gc.enable()
    return done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make warnings errors in these tests, and not in what users run."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write a model folder: a helix for positions, unless told otherwise."""

    def write(
        name: str = "model",
        config: Mapping[str, object] | None = None,
        tensors: Mapping[str, Array] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
        held = {"wpe.weight": helix_rows()} if tensors is None else dict(tensors)
        save_file(held, path / "model.safetensors")
        return path

    return write


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    """A browser, in which tests open pages from disk."""
    from browsing import started  # Most tests need none.

    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def some_claims(tmp_path: Path) -> Path:
    """A folder with a claim about positions."""
    path = tmp_path / "some_claims"
    path.mkdir()
    (path / "test_some.py").write_text(SOME_CLAIM)
    return path


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a hub that cannot be asked; it is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def run_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Run ``pytest claims/`` in this process, without a network unless the test made one."""

    def run(*arguments: str, cwd: Path = ROOT, offline: bool = True) -> Run:
        where = [] if arguments[:1] == (".",) else ["claims/"]
        with monkeypatch.context() as patched:
            patched.setenv("COLUMNS", "160")
            if offline:
                patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
                patched.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
            return run_pytest(cwd, *where, *arguments)

    return run


@pytest.fixture
def judge(run_claims: Claims, tmp_path: Path) -> Judge:
    """Run ``pytest claims/`` for its verdicts on what ``subject`` names."""

    def judge(*options: str, subject: object = None, **where: Any) -> Judged:
        path = tmp_path / "verdicts.json"
        path.unlink(missing_ok=True)
        named = () if subject is None else ("--subject", str(subject))
        ran = run_claims(*named, *options, "--claims-json", str(path), **where)
        assert path.exists(), ran.stdout + ran.stderr
        return Judged(ran.returncode, ran.stdout, json.loads(path.read_text()))

    return judge
