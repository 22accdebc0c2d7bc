"""What others published of the whole GPT-2 small, read from ``data/published``."""

from pathlib import Path

import numpy as np

from gpt2_helix.doctoring import INTACT
from gpt2_helix.judging import records
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.measure.agreement import PublishedHeads
from gpt2_helix.measure.heads import AVERAGED


def published_heads(folder: Path) -> PublishedHeads:
    """Read it; ``MissingInputError`` if it is not recorded there."""
    try:
        pictures, notebook, scores = (
            records.load(folder / name / "published.json").measured
            for name in ("pictures", "notebook", "scores")
        )
        shown = pictures["windows"]["by_doctoring"]
        intact, averaged = (shown[name]["attention"] for name in (INTACT, AVERAGED))
        on_first = notebook["prompts"]["by_prompt"]["first"]["attention"]
        scored = scores["scores"]["attention"]
    except (FileNotFoundError, KeyError) as absent:
        raise MissingInputError([f"published attention ({absent})"], str(folder)) from None
    return PublishedHeads(
        list(intact),
        np.array(list(intact.values())),
        np.array(list(averaged.values())),
        list(on_first),
        np.array(list(on_first.values())),
        np.array([scored[head] for head in intact]),
    )
