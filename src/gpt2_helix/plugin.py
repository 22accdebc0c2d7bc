"""The options of ``pytest claims/`` that name a model, and what the engine is to judge."""

from pathlib import Path
from typing import Any

import pytest

from gpt2_helix.judging.claim import Subject
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.files import check_folder, given_path
from gpt2_helix.judging.suite import Suite

pytest_plugins = ["gpt2_helix.judging.plugin"]
_SUBJECT = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the model, and what is run through it."""
    group = parser.getgroup("gpt2-helix")
    group.addoption(
        "--subject",
        metavar="NAME_OR_FOLDER",
        help="model under test: gpt2 or another name of the table of models, "
        "hub:OWNER/NAME[@REVISION], mini, text, minilm, built:NAME, control:NAME[:SUBJECT], "
        "recorded:NAME, published:NAME, or a folder with config.json and model.safetensors or "
        "pytorch_model.bin (default: gpt2, or its recorded measurements)",
    )
    group.addoption(
        "--corpus",
        metavar="FILE_OR_FOLDER",
        type=given_path,
        help="text for the claims that run the model: a file, a folder, or a file of a dataset as "
        "hub:OWNER/NAME@COMMIT:FILE.parquet (default: data/texts)",
    )
    group.addoption(
        "--windows",
        metavar="N",
        type=int,
        help="number of windows of 512 tokens; fewer are faster and less certain "
        "(default: as in params.yaml)",
    )
    group.addoption(
        "--prompt",
        metavar="FILE",
        type=given_path,
        help="repetition prompt with 'apple orange' in it (default: a generated one)",
    )
    group.addoption(
        "--record",
        metavar="FOLDER",
        type=given_path,
        help="record here what claims measured, with all that is recorded beside it, and the "
        "digests of all that was read",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of claims that run the whole model."""
    config.addinivalue_line("markers", "whole_model: runs the whole of a model, and takes longest")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Judge the claims that take longest last."""
    items.sort(key=lambda item: item.get_closest_marker("whole_model") is not None)


def pytest_judging_suite(config: pytest.Config) -> Suite:
    """Judge the post's statements on the model that the options name."""
    # Here, not above: every run of pytest loads this file, and these imports are slow.
    from gpt2_helix.suite.gpt2 import suite_on
    from gpt2_helix.suite.subjects import open_subject
    from gpt2_helix.texts import TextInputs

    data = config.rootpath / "data"
    corpus = config.getoption("--corpus")
    texts = () if corpus is None else (corpus,)
    material = TextInputs(texts, config.getoption("--windows"), config.getoption("--prompt"))

    def opened() -> Subject:
        config.stash[_SUBJECT] = open_subject(config.getoption("--subject"), data, material)
        if folder := config.getoption("--record"):
            _check_record(config, folder)
        return config.stash[_SUBJECT]

    root = config.rootpath
    return suite_on(data, opened, root / "claims", root / "paper/figures")


def _check_record(config: pytest.Config, folder: Path) -> None:
    """Refuse to record what is not measured in this process, before claims are judged."""
    if (evidence := config.stash[_SUBJECT].evidence) != "live":
        raise InputError(f"--record: expected a subject to measure, found one {evidence}")
    if config.getoption("numprocesses", None):
        raise InputError("--record: expected claims judged in one process, found -n")
    check_folder("--record", folder)
    from gpt2_helix.suite.recording import check_folder_of

    check_folder_of(config.stash[_SUBJECT], folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Record what claims measured of the subject, as ``gpt2-helix record`` does.

    Where that cannot be, it is one line and exit code 4.
    """
    folder, subject = session.config.getoption("--record"), session.config.stash.get(_SUBJECT, None)
    if folder and subject:
        from gpt2_helix.suite import recording
        from gpt2_helix.suite.recorded import RECORDED

        try:
            for name in RECORDED:
                if name in subject.families:
                    print(recording.record_or_keep(name, folder, lambda: subject))
        except (InputError, OSError) as error:
            session.config.get_terminal_writer().line(f"\nERROR: --record: {error}", red=True)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
