"""The whole model on text, asked what its attention alone is asked: with MLPs, and real tokens."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gpt2_helix.doctoring import Positions
from gpt2_helix.models.attention_alone import (
    BATCH,
    NOTHING,
    AnyTokens,
    AttentionAlone,
    Found,
)
from gpt2_helix.models.config import Head

if TYPE_CHECKING:
    import gpt2_helix.models.runner  # not at run time: it imports torch, which is slow


class WholeModel(AttentionAlone):
    """A model that is run on windows of text, each of which takes the place of a draw.

    ``tokens`` is ignored. Heads are read from the residual stream by the same code as in
    ``AttentionAlone``, so the two differ only in what enters the heads. If more draws are asked for
    than there are windows, all windows are used.

    Parameters
    ----------
    alone
        The attention blocks of the same model.
    runner
        The model, ready to be run.
    windows
        Tokens; their number is a multiple of ``part``.
    """

    part = BATCH

    def __init__(
        self,
        alone: AttentionAlone,
        runner: "gpt2_helix.models.runner.Runner",
        windows: Int[np.ndarray, "window token"],
    ) -> None:
        config = runner.config
        positions = windows.shape[1]
        super().__init__(alone.W_pos, positions, config.n_layer, config.n_head, alone.block)
        self._runner, self._windows = runner, windows

    def doctored(self, name: str, heads: Sequence[Head], tokens: AnyTokens, n_draws: int) -> Found:
        """Run the model as ``AttentionAlone.doctored`` does, on as many windows as there are."""
        return super().doctored(name, heads, tokens, min(n_draws, len(self._windows)))

    def _run(
        self,
        W_pos: Positions,
        heads: Sequence[Head],
        tokens: AnyTokens,
        draws: range,
        silent_layers: Sequence[int] = (),
        without: Mapping[int, Float[np.ndarray, "token d_model"]] = NOTHING,
    ) -> Found:
        layers = sorted({head.layer for head in heads})
        some = self._windows[draws.start : draws.stop]
        previous = np.empty((len(some), len(heads), self.positions), np.float32)
        means: dict[int, list[Float[np.ndarray, "token d_model"]]] = {n: [] for n in layers}
        for first in range(0, len(some), BATCH):
            batch = slice(first, first + BATCH)
            streams = self._runner.entering(some[batch], W_pos, layers, silent_layers)
            for layer, stream in streams.items():
                at = [i for i, head in enumerate(heads) if head.layer == layer]
                seen = stream - without[layer] if layer in without else stream
                seen = seen.astype(np.float32, copy=False)
                previous[batch, at] = self.read(seen, layer, [heads[i].head for i in at])
                means[layer].append(stream.mean(axis=0, dtype=np.float64))
        return Found(previous, {layer: np.stack(parts) for layer, parts in means.items()})
