"""The options of ``pytest claims/`` that name a model, and what the engine is to judge."""

from functools import partial
from pathlib import Path

import pytest

from gpt2_helix.judging.suite import Suite

pytest_plugins = ["gpt2_helix.judging.plugin"]


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
        type=Path,
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
        type=Path,
        help="repetition prompt with 'apple orange' in it (default: a generated one)",
    )


def pytest_judging_suite(config: pytest.Config) -> Suite:
    """Judge the post's statements on the model that the options name."""
    # Here, not above: the import reads params.yaml, and what is wrong in it is one line too.
    from gpt2_helix.suite.gpt2 import suite_on
    from gpt2_helix.suite.subjects import open_subject
    from gpt2_helix.texts import WINDOWS, Material

    data = config.rootpath / "data"
    corpus, windows = config.getoption("--corpus"), config.getoption("--windows")
    material = Material(
        () if corpus is None else (corpus,),
        WINDOWS if windows is None else windows,
        config.getoption("--prompt"),
    )
    opened = partial(open_subject, config.getoption("--subject"), data, material)
    return suite_on(data, opened, config.rootpath / "paper/figures")
