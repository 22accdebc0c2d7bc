"""Broken models: for each claim, some on which it must be refuted.

A control is a copy of a model with one thing broken, made from a fixed seed. It shares the rest
with the model, so that a claim is refuted by what was broken and nothing else.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import Subject
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import helix
from gpt2_helix.models.built import SEED, RandomWeights, open_built, segments
from gpt2_helix.models.model import Model
from gpt2_helix.models.sources import MINILM, open_minilm
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs
from gpt2_helix.weights.tensors import Array


def sinusoid_table(n_positions: int, d_model: int) -> Positions:
    """The positions of Vaswani et al. (2017): sines and cosines at geometric wavelengths."""
    position = np.arange(n_positions)[:, None]
    angle = position / 10000 ** (np.arange(0, d_model, 2) / d_model)
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(n_positions, -1)
    return waves[:, :d_model]


def shuffled_rows(W_pos: Positions) -> Positions:
    """Rows 1 .. n-2 in random order."""
    rows = W_pos.copy()
    rows[1:-1] = np.random.default_rng(SEED).permutation(rows[1:-1])
    return rows


def reversed_rows(W_pos: Positions) -> Positions:
    """Rows 1 .. n-2 in reverse order."""
    rows = W_pos.copy()
    rows[1:-1] = rows[-2:0:-1]
    return rows


def gaussian_rows(W_pos: Positions) -> Positions:
    """Gaussian rows of the same norms."""
    return _scaled(np.random.default_rng(SEED).standard_normal(W_pos.shape), W_pos, axis=1)


def random_walk(W_pos: Positions) -> Positions:
    """A random walk, scaled to the same overall norm."""
    return _scaled(helix.random_walk(len(W_pos), W_pos.shape[1], SEED), W_pos)


def phase_randomised(W_pos: Positions) -> Positions:
    """Every column with its own power spectrum and random phases."""
    rows = W_pos.astype(np.float64)
    rows[1:-1] = helix.randomise_phases(rows[1:-1], seed=SEED)
    return rows


def sinusoidal(W_pos: Positions) -> Positions:
    """A sinusoid table, scaled to the same overall norm."""
    return _scaled(sinusoid_table(*W_pos.shape), W_pos)


def one_row(W_pos: Positions) -> Positions:
    """Every row the mean row: a model that cannot tell positions apart."""
    return np.repeat(W_pos.mean(axis=0, keepdims=True), len(W_pos), axis=0)


def _scaled(rows: Positions, like: Positions, axis: int | None = None) -> Positions:
    """Scale rows to the norm of others: over all, or with an axis one by one."""
    wanted, found = (np.linalg.norm(some, axis=axis, keepdims=True) for some in (like, rows))
    return rows * (wanted / found)


def with_changed_positions(change: Callable[[Positions], Positions], subject: Live) -> Live:
    """The model with its positions changed."""
    return subject.broken(model=subject.model.with_positions(change(subject.model.W_pos)))


def groups_one_too_large(subject: Live) -> Live:
    """Averaging in groups of k + 1 where k is asked for: the post's erratum, k .. k + 5."""

    def doctor(W_pos: Positions, name: str, offset: int = 0) -> Positions:
        size = doctoring.group_size(name)
        larger = f"average-{size + 1}" if size and size > 1 else name
        return doctoring.doctor(W_pos, larger, offset)

    return subject.broken(doctor=doctor)


def means_across_borders(subject: Live) -> Live:
    """Averaging in the right groups, but each row takes a tenth of the next row's mean."""

    def doctor(W_pos: Positions, name: str, offset: int = 0) -> Positions:
        right = doctoring.doctor(W_pos, name, offset)
        leaking = right.copy()
        leaking[1:-1] = 0.9 * right[1:-1] + 0.1 * right[2:]
        return leaking

    return subject.broken(doctor=doctor)


def random_weights(subject: Live) -> Live:
    """GPT-2 of the model's size before any training."""
    config = replace(subject.model.config, model_type="gpt2")
    return subject.broken(model=Model(subject.name, config, RandomWeights(config)))


def medium_size(subject: Live) -> Live:
    """A configuration with GPT-2 medium's 24 layers of 16 heads, and no tensors."""
    config = replace(subject.model.config, n_layer=24, n_head=16, n_embd=1024)
    return subject.broken(model=Model(subject.name, config, {}))


def looking_back(subject: Live) -> Live:
    """The main previous-token heads replaced by copies of one that looks back by position."""
    model, source = subject.model, subject.heads_looking_back[0]
    block = model.attention(source.layer)
    d_model = model.config.n_embd
    d_head = d_model // model.config.n_head
    changed: dict[str, Array] = {}
    for layer, head in subject.main_heads:
        own = model.attention(layer)
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
    return subject.broken(model=model.with_tensors(changed))


def idle_first_layer(subject: Live) -> Live:
    """Heads of layer 0 that write nothing: their output projection is zero."""
    name, d_model = "h.0.attn.c_proj.weight", subject.model.config.n_embd
    idle = np.zeros_like(subject.model.tensor(name, (d_model, d_model)))
    return subject.broken(model=subject.model.with_tensors({name: idle}))


def published_heads_in_random_order(subject: Live) -> Live:
    """The model beside published measurements whose heads are in random order."""
    found = subject.published
    every, some = (
        np.random.default_rng(SEED).permutation(len(heads))
        for heads in (found.heads, found.notebook_heads)
    )
    broken = subject.broken()
    broken.published = replace(
        found,
        intact=found.intact[every],
        averaged=found.averaged[every],
        notebook=found.notebook[some],
    )
    broken.attention_alone = subject.attention_alone  # The same, and costly to measure again.
    return broken


def minilm(subject: Live) -> Live:
    """A real model whose learned positions are no such helix: MiniLM-L6, 512 x 384."""
    return Live(MINILM, open_minilm(), subject.material)


def built(name: str, subject: Live) -> Live:
    """A model made here, run on its own text; only the number of windows is the subject's."""
    own_text = TextInputs(n_windows=subject.material.n_windows, made=segments)
    return Live(f"built:{name}", open_built(name), own_text)


CONTROLS: dict[str, Callable[[Live], Live]] = {
    "shuffled-rows": partial(with_changed_positions, shuffled_rows),
    "reversed-rows": partial(with_changed_positions, reversed_rows),
    "no-positions": partial(with_changed_positions, doctoring.zeroed),
    "gaussian-rows": partial(with_changed_positions, gaussian_rows),
    "random-walk": partial(with_changed_positions, random_walk),
    "phase-randomised": partial(with_changed_positions, phase_randomised),
    "sinusoidal": partial(with_changed_positions, sinusoidal),
    "one-row": partial(with_changed_positions, one_row),
    "groups-one-too-large": groups_one_too_large,
    "means-across-borders": means_across_borders,
    "random-weights": random_weights,
    "medium-size": medium_size,
    "looking-back": looking_back,
    "idle-first-layer": idle_first_layer,
    "published-heads-in-random-order": published_heads_in_random_order,
    "minilm": minilm,
    "exact-positions": partial(built, "exact-positions"),
    "untrained": partial(built, "untrained"),
}


def broken_copy(subject: Subject, name: str, called: str | None = None) -> Subject:
    """Break a copy of the subject; of a recorded one, find the results of its broken copy.

    The result is called ``control:NAME`` by default. ``InputError`` if there is no such control,
    ``MissingInputError`` if the subject lacks the tensors that are to be broken.
    """
    if isinstance(subject, RecordedSubject) and subject.evidence == "published":
        return subject.control(name)  # Broken copies of what was published, made with its record.
    if name not in CONTROLS:
        raise InputError(f"control: expected one of {', '.join(CONTROLS)}, found {name!r}")
    if isinstance(subject, RecordedSubject):
        return subject.control(name)
    assert isinstance(subject, Live)
    broken = CONTROLS[name](subject)
    broken.name = called or f"control:{name}"
    return broken
