"""Broken models: for each claim, some on which it must come out refuted.

A control is a copy of a subject with one thing broken, made from a fixed seed. What it does not
break it shares with the subject, so that a claim is refuted by what was broken alone.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import Positions
from gpt2_helix.measure import helix
from gpt2_helix.subjects import LiveSubject, RecordedSubject, Subject, SubjectError
from gpt2_helix.subjects.built import SEED, RandomWeights, open_built
from gpt2_helix.subjects.source import open_minilm
from gpt2_helix.subjects.tensors import Array


class Overlay(Mapping[str, Array]):
    """Tensors of a subject with some of them replaced."""

    def __init__(self, below: Mapping[str, Array], above: Mapping[str, Array]) -> None:
        self._below, self._above = below, above

    def __getitem__(self, name: str) -> Array:
        return self._above[name] if name in self._above else self._below[name]

    def __contains__(self, name: object) -> bool:
        return name in self._above or name in self._below

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._below, *self._above}))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def sinusoid_table(n_positions: int, d_model: int) -> Positions:
    """The positions of Vaswani et al. (2017): sines and cosines at geometric wavelengths."""
    position = np.arange(n_positions)[:, None]
    angle = position / 10000 ** (np.arange(0, d_model, 2) / d_model)
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(n_positions, d_model)


def shuffled_rows(W_pos: Positions) -> Positions:
    """Rows 1 .. n-2 in random order."""
    rows = W_pos.copy()
    rows[1:-1] = np.random.default_rng(SEED).permutation(rows[1:-1])
    return rows


def gaussian_rows(W_pos: Positions) -> Positions:
    """Gaussian rows of the same norms."""
    rows = np.random.default_rng(SEED).standard_normal(W_pos.shape)
    return rows * (_norms(W_pos) / _norms(rows))


def random_walk(W_pos: Positions) -> Positions:
    """A random walk, scaled to the same overall norm."""
    walk = helix.random_walk(W_pos.shape[0], W_pos.shape[1], SEED)
    return walk * (np.linalg.norm(W_pos) / np.linalg.norm(walk))


def phase_randomised(W_pos: Positions) -> Positions:
    """Every column with its own power spectrum and random phases."""
    rows = W_pos.astype(np.float64)
    rows[1:-1] = helix.randomise_phases(rows[1:-1], seed=SEED)
    return rows


def sinusoidal(W_pos: Positions) -> Positions:
    """A sinusoid table, scaled to the same overall norm."""
    table = sinusoid_table(*W_pos.shape)
    return table * (np.linalg.norm(W_pos) / np.linalg.norm(table))


def one_row(W_pos: Positions) -> Positions:
    """Every row the mean row: a model that cannot tell positions apart."""
    return np.repeat(W_pos.mean(axis=0, keepdims=True), len(W_pos), axis=0)


def _norms(rows: Positions) -> Float[np.ndarray, "position 1"]:
    return np.linalg.norm(rows, axis=1, keepdims=True)


def _with_positions(
    change: Callable[[Positions], Positions],
) -> Callable[[LiveSubject], LiveSubject]:
    def broken(subject: LiveSubject) -> LiveSubject:
        changed = {subject.config.architecture.W_pos: change(subject.W_pos)}
        return LiveSubject(
            subject.name, subject.config, Overlay(subject.tensors, changed), digests={}
        )

    broken.__doc__ = change.__doc__
    return broken


def random_weights(subject: LiveSubject) -> LiveSubject:
    """GPT-2 of the subject's size before any training."""
    config = replace(subject.config, model_type="gpt2")
    return LiveSubject(subject.name, config, RandomWeights(config), digests={})


def medium_size(subject: LiveSubject) -> LiveSubject:
    """A configuration with GPT-2 medium's 24 layers of 16 heads; not a tensor is there."""
    config = replace(subject.config, n_layer=24, n_head=16, n_embd=1024)
    return LiveSubject(subject.name, config, {}, digests={})


def looking_back(subject: LiveSubject) -> LiveSubject:
    """The main previous-token heads replaced by copies of one that looks back by position."""
    source = subject.heads_looking_back[0]
    block = subject.attention(source.layer)
    d_model = subject.config.n_embd
    d_head = d_model // subject.config.n_head
    changed: dict[str, Array] = {}
    for layer, head in subject.main_heads:
        own = subject.attention(layer)
        weight, bias = own.weight.copy(), own.bias.copy()
        for part in (0, d_model, 2 * d_model):
            to = slice(part + head * d_head, part + (head + 1) * d_head)
            of = slice(part + source.head * d_head, part + (source.head + 1) * d_head)
            weight[:, to], bias[to] = block.weight[:, of], block.bias[of]
        changed |= {
            f"h.{layer}.ln_1.weight": block.ln_weight,
            f"h.{layer}.ln_1.bias": block.ln_bias,
            f"h.{layer}.attn.c_attn.weight": weight,
            f"h.{layer}.attn.c_attn.bias": bias,
        }
    return LiveSubject(subject.name, subject.config, Overlay(subject.tensors, changed), digests={})


def minilm(subject: LiveSubject) -> LiveSubject:
    """A real model whose learned positions are no such helix: MiniLM-L6, 512 x 384."""
    return open_minilm()


def _built(name: str) -> Callable[[LiveSubject], LiveSubject]:
    def made(subject: LiveSubject) -> LiveSubject:
        return open_built(name, subject.material)

    return made


OF_WEIGHTS: dict[str, Callable[[LiveSubject], LiveSubject]] = {
    "shuffled-rows": _with_positions(shuffled_rows),
    "gaussian-rows": _with_positions(gaussian_rows),
    "random-walk": _with_positions(random_walk),
    "phase-randomised": _with_positions(phase_randomised),
    "sinusoidal": _with_positions(sinusoidal),
    "one-row": _with_positions(one_row),
    "random-weights": random_weights,
    "medium-size": medium_size,
    "looking-back": looking_back,
    "minilm": minilm,
}
"""For claims about positions and attention weights."""

OF_BEHAVIOUR = {name: _built(name) for name in ("exact-positions", "untrained")}
"""For claims that run the model."""

CONTROLS = {**OF_WEIGHTS, **OF_BEHAVIOUR}


def build(name: str, subject: Subject, called: str | None = None) -> Subject:
    """Break a copy of the subject in the named way.

    Parameters
    ----------
    name
        Key of ``CONTROLS``.
    subject
        The model to break; of a recorded one, what is recorded of its broken copy.
    called
        Name for the result; ``control:NAME`` unless given.

    Raises
    ------
    SubjectError
        If there is no such control.
    MissingTensorError
        If the subject has not the tensors that are to be broken.
    """
    if name not in CONTROLS:
        raise SubjectError(f"control: expected one of {', '.join(CONTROLS)}, found {name!r}")
    if isinstance(subject, RecordedSubject):
        return subject.control(name)
    assert isinstance(subject, LiveSubject)
    broken = CONTROLS[name](subject)
    broken.name = called or f"control:{name}"
    return broken
