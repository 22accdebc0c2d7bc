"""Broken models: for each claim, some on which it must be refuted.

A control is a copy of a model with one thing broken, made from a fixed seed. It shares the rest
with the model, so that a claim is refuted by what was broken and nothing else.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from gpt2_helix import doctoring
from gpt2_helix.doctoring import Positions
from gpt2_helix.judging.claim import Subject
from gpt2_helix.judging.errors import InputError, MissingInputError, did_you_mean
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import helix
from gpt2_helix.models.built import SEED, RandomWeights, open_built, segments
from gpt2_helix.models.heads import mask, to_previous
from gpt2_helix.models.model import Model
from gpt2_helix.models.readings import Pattern, Rule
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


def groups_of_50_for_100(subject: Live) -> Live:
    """Averaging in groups of 50 where 100 is asked for."""

    def doctor(W_pos: Positions, name: str, offset: int = 0) -> Positions:
        return doctoring.doctor(W_pos, "average-50" if name == "average-100" else name, offset)

    return subject.broken(doctor=doctor)


def means_across_borders(subject: Live) -> Live:
    """Averaging in the right groups, but each row takes a tenth of the next row's mean."""

    def doctor(W_pos: Positions, name: str, offset: int = 0) -> Positions:
        right = doctoring.doctor(W_pos, name, offset)
        leaking = right.copy()
        leaking[1:-1] = 0.9 * right[1:-1] + 0.1 * right[2:]
        return leaking

    return subject.broken(doctor=doctor)


def averaging_wrongly(average: Callable[[int], Pattern], subject: Live) -> Live:
    """Another pattern where the plain average of the past is asked for."""
    return subject.broken(average=average)


def past_and_future(n: int) -> Pattern:
    """Equal weights on all positions."""
    return np.full((n, n), 1 / n)


def random_weights(subject: Live) -> Live:
    """GPT-2 of the model's size before any training."""
    config = replace(subject.model.config, model_type="gpt2")
    return subject.broken(model=Model(subject.name, config, RandomWeights(config)))


def medium_size(subject: Live) -> Live:
    """A configuration with GPT-2 medium's 24 layers of 16 heads, and no tensors."""
    config = replace(subject.model.config, n_layer=24, n_head=16, n_embd=1024)
    return subject.broken(model=Model(subject.name, config, {}))


def local_heads_in_their_place(subject: Live) -> Live:
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


def looking_back(subject: Live) -> Live:
    """The main heads look positions up: where the row before the query's own lies, there they look.

    They attend by the squared distance of each key's row from that of the position before the
    query, and give it half of their attention or more while positions are intact.
    """
    alone = subject.attention_alone
    rows, queries = alone.W_pos[: alone.positions], alone.queries
    sharpness = (2.0**power for power in range(20))
    rules = (partial(_by_distance, sharp) for sharp in sharpness)
    enough = (rule for rule in rules if at_previous(rule(rows), queries) >= 0.5)
    return _ruled(subject, next(enough, partial(_by_distance, 2.0**20)))


def relative_bias(subject: Live) -> Live:
    """The main heads attend by distance alone: ALiBi (Press et al. 2022), a quarter just behind."""

    def pattern(rows: Positions) -> Pattern:
        at = np.arange(len(rows), dtype=np.float64)
        return _softmax_behind(0.51 * (at - at[:, None]))

    return _ruled(subject, pattern)


def at_previous(pattern: Pattern, queries: slice) -> float:
    """Mean over queries of attention to the position before."""
    return float(to_previous(pattern)[queries].mean())


def _by_distance(sharpness: float, rows: Positions) -> Pattern:
    """Attend where rows are near that of the position before the query; query 0 to itself."""
    rows = rows.astype(np.float64)
    wanted = np.concatenate([rows[:1], rows[:-1]])
    squares = (wanted**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1) - 2 * wanted @ rows.T
    return _softmax_behind(-sharpness * squares)


def _softmax_behind(scores: Pattern) -> Pattern:
    from scipy.special import softmax  # Not above: claims on a record need not wait for it.

    pattern: Pattern = softmax(scores + mask(len(scores)), axis=1)
    return pattern


def _ruled(subject: Live, rule: Rule) -> Live:
    """The main heads attend so whatever the tokens, so two pairs of draws tell as much as many."""
    broken = subject.broken(rules=dict.fromkeys(subject.main_heads, rule))
    broken.attention_alone = replace(subject.attention_alone.few(2), rules=broken.rules)
    return broken


def heads_3_and_9_swapped(subject: Live) -> Live:
    """Heads 3 and 9 of layer 0 under each other's names."""
    weight, bias, out = _layer_0(subject, least_heads=10)
    order = np.arange(weight.shape[-2])
    order[[3, 9]] = 9, 3
    return _with_layer_0(subject, weight[..., order, :], bias[..., order, :], out[..., order, :])


def copied_head(subject: Live) -> Live:
    """Head 9 of layer 0 in place of head 4 too, each writing half of what it wrote."""
    weight, bias, out = (tensor.copy() for tensor in _layer_0(subject, least_heads=10))
    for tensor in (weight, bias, out):
        tensor[..., 4, :] = tensor[..., 9, :]
    out[..., [4, 9], :] /= 2
    return _with_layer_0(subject, weight, bias, out)


QKV, BIAS, OUT = (f"h.0.attn.{name}" for name in ("c_attn.weight", "c_attn.bias", "c_proj.weight"))


def _layer_0(subject: Live, least_heads: int) -> list[Float[np.ndarray, "*rest head d_head"]]:
    """Tensors that ``QKV``, ``BIAS`` and ``OUT`` name, head by head."""
    model, d = subject.model, subject.model.config.n_embd
    n_head = model.config.n_head
    if n_head < least_heads:
        raise MissingInputError([f"{least_heads} heads in layer 0"], subject.name)
    return [
        model.tensor(QKV, (d, 3 * d)).reshape(d, 3, n_head, -1),
        model.tensor(BIAS, (3 * d,)).reshape(3, n_head, -1),
        model.tensor(OUT, (d, d)).T.reshape(d, n_head, -1),
    ]


def _with_layer_0(subject: Live, weight: Array, bias: Array, out: Array) -> Live:
    d = subject.model.config.n_embd
    changed = {QKV: weight.reshape(d, -1), BIAS: bias.ravel(), OUT: out.reshape(d, d).T}
    return subject.broken(model=subject.model.with_tensors(changed))


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
        scores=found.scores[every],
        notebook=found.notebook[some],
    )
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
    "local-heads-in-their-place": local_heads_in_their_place,
    "looking-back": looking_back,
    "relative-bias": relative_bias,
    "groups-of-50-for-100": groups_of_50_for_100,
    "average-of-past-and-future": partial(averaging_wrongly, past_and_future),
    "itself-alone": partial(averaging_wrongly, np.eye),
    "heads-3-and-9-swapped": heads_3_and_9_swapped,
    "copied-head": copied_head,
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
        near = did_you_mean(name, CONTROLS)
        known = ", ".join(CONTROLS)
        raise InputError(f"control: expected one of {known}, found {name!r:.80}{near}")
    if isinstance(subject, RecordedSubject):
        return subject.control(name)
    assert isinstance(subject, Live)
    broken = CONTROLS[name](subject)
    broken.name = called or f"control:{name}"
    return broken
