"""Transformers in GPT-2's architecture whose weights are written by formula, not trained.

Both models repeat a string: asked to repeat ``" apple orange"`` they answer ``apple``, by the
two-step circuit of Elhage et al. (2021): a *previous-token head* notes at each position which
token came just before, an *induction head* looks for a position whose previous token is the
present one, and copies what stands there. They differ in how "just before" is found:

- ``exact_positions``: by the rows of W_pos themselves, so any averaging of rows breaks it;
- ``causal_kernel``: where rows are averaged, by comparing recency-weighted summaries of the tokens,
  which the causal mask makes from a mere ramp in W_pos, so averaging over some twenty positions
  does no harm.

How to read the formulas. The residual stream is cut into orthonormal subspaces; a ``(d_model, n)``
matrix whose columns span one is its *frame*. All columns are orthogonal to the all-ones vector, so
LayerNorm's centring changes nothing; and every position carries a constant of norm ``CONSTANT``,
far above all else in the stream, so LayerNorm's division is the same everywhere to within one part
in a thousand and its gain undoes it. LayerNorm is then the identity, and heads can be written as

    score[i, j] = sum over terms of  (x_i . query_column) (x_j . key_column),

    output[i]   = sum over j of attention[i, j] * (x_j @ value_frame) @ output_frame.T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gpt2_helix.doctoring import Positions
from gpt2_helix.models import gpt2
from gpt2_helix.models.config import Config, Head
from gpt2_helix.prompts import WORDS

Frame = Float[np.ndarray, "d_model _n"]

N_POSITIONS, N_HEAD, N_INNER = 512, 2, 4
"""Positions, heads a layer, and width of the MLPs, which are zero."""
BEGIN, NEWLINE, OPEN, CLOSE = "<|endoftext|>", "\n", ' "', '"'
TEMPLATE = ("User", ":", " Repeat", " this", " string", " exactly", "Assistant")
VOCABULARY = (BEGIN, NEWLINE, OPEN, CLOSE, *TEMPLATE, *(f" {word}" for word in WORDS))
"""Token of each row of ``wte.weight``; as in GPT-2, a word carries the space before it."""

CONSTANT = 1000.0  # Norm of the constant; what else a position holds has norm 30 at most.
LOGIT = 15.0  # Logit of a token copied with attention 1; all others then share 200 exp(-15).
MATCH = 70.0  # Induction score where the previous token is surely the present one.
RECENCY = 0.19  # Induction score gained per position, so that the latest match wins.
ERASE = 60.0  # Score of the erasing head at the same token; it is 0 elsewhere.
DEFAULT = 0.2  # What a resting head says, in units of LOGIT: NEWLINE, faintly.


Transformer = tuple[Config, dict[str, Float[np.ndarray, "..."]]]
"""A GPT-2's sizes, and its float32 tensors by name."""


class _Term(NamedTuple):
    """Add (x_i @ query) . (x_j @ key) to score[i, j]; both (d_model, n)."""

    query: Frame
    key: Frame


@dataclass(frozen=True)
class _Head:
    """One attention head: its score terms, and the frames it moves content between."""

    scores: Sequence[_Term]
    value: Frame
    output: Frame


def exact_positions(seed: int) -> Transformer:
    """Two layers; the previous-token head finds i - 1 through W_pos itself.

    Row j of W_pos holds, for 64 random frequencies w, the pair (cos wj, sin wj) / 8. A shift by one
    position is a rotation of each pair, hence linear, so a head can ask for position i - 1:

        score[i, j] = sharpness * mean over w of cos(w (i - 1 - j)),

    which is ``sharpness`` at j = i - 1 and small elsewhere. The rows of an averaged group are
    equal, so its positions score alike and the head sees them all, itself included.
    """
    rng = np.random.default_rng(seed)
    n_frequencies, sharpness = 64, 60.0
    n_token = len(VOCABULARY)
    d_model = 2 * n_token + 2 * n_frequencies + 4
    token, previous, cosine, sine, ramp, constant = _frames(
        rng, d_model, (n_token, n_token, n_frequencies, n_frequencies, 1, 1)
    )

    frequency = rng.uniform(0, np.pi, n_frequencies)
    angle = np.arange(N_POSITIONS)[:, None] * frequency
    W_pos = _constant_and_ramp(constant, ramp)
    W_pos += (np.cos(angle) @ cosine.T + np.sin(angle) @ sine.T) / np.sqrt(n_frequencies)

    turn_c, turn_s = np.cos(frequency), np.sin(frequency)
    one_back = np.hstack([cosine * turn_c + sine * turn_s, sine * turn_c - cosine * turn_s])
    look_one_back = _Term(sharpness * one_back, np.hstack([cosine, sine]))
    return _assemble(
        token,
        W_pos,
        layers=[
            [_Head([look_one_back], token, previous)],
            # Averaging in pairs leaves a third of the attention on i - 1: the bar is above it.
            _copying_heads(token, previous, constant, ramp, 35.0),
        ],
        previous_token_head=Head(0, 0),
    )


def causal_kernel(seed: int) -> Transformer:
    """Three layers; the previous-token head compares summaries of the tokens seen so far.

    *Layer 0, the kernel.* It sums the tokens seen so far, recent ones most; see ``_kernel``.

    *Layer 1, the previous-token head.* It scores sharpness R_i . R_j + recency p_j, less much
    where x_j = x_i, which keeps the head off its own position (a token immediately repeated is thus
    not found). The ramp orders positions of different p: it alone serves the intact model, and
    leads to the right group in the averaged one. Inside a group it says nothing, but there S_j only
    gains terms as j grows, each a token that S_i holds too, so S_i . S_j climbs up to j = i - 1.
    The first position of a group has its predecessor at the end of the last, which it remembers at
    weight exp(-rate k): rate is low.

    Why it fails in large groups: attention sums to 1, so that R, and not S, is at hand. One more
    token changes the score by sharpness (sink R_i . e(x_j) - R_i . R_j) / (sink + Z_j), a
    difference that shrinks with 1 / Z^2 once Z exceeds the sink, and is below zero for a token
    rarer in the group than the others. The sink thus sets the group size that is borne.

    *Layer 2, induction.* As in ``exact_positions``; the same comparison of summaries tells recent
    matches from old ones of the same group.
    """
    rng = np.random.default_rng(seed)
    rate, sink = 0.05, 13.0
    sharpness, recency, not_itself = 60.0, 6.0, 3000.0
    bar, match_recency = 10.0, 1.8
    n_token = len(VOCABULARY)
    d_model = 4 * n_token + 4  # two heads of 2 * n_token + 2, the rank of the score below
    token, previous, summary, ramp, constant = _frames(
        rng, d_model, (n_token, n_token, n_token, 1, 1)
    )

    previous_token = _Head(
        [
            _Term(sharpness * summary, summary),
            _recency(recency, constant, ramp),
            _Term(-not_itself * token, token),
        ],
        token,
        previous,
    )
    recent = _Term(match_recency * summary, summary)
    return _assemble(
        token,
        _constant_and_ramp(constant, ramp),
        layers=[
            [_kernel(rate, sink, token, summary, constant, ramp)],
            [previous_token],
            _copying_heads(token, previous, constant, ramp, bar, recent),
        ],
        previous_token_head=Head(1, 0),
    )


def _kernel(
    rate: float, sink: float, token: Frame, summary: Frame, constant: Frame, ramp: Frame
) -> _Head:
    """Make layer 0 of ``causal_kernel``: at each position, a summary of the tokens up to it.

    W_pos is a constant and a ramp: p_j = j, or the mean of its group. A constant query against the
    ramp scores rate * p_j, and attention to BEGIN is held ``sink`` times that of a token at the
    query's own p. With e the token embedding, each position gets

        R_i = S_i / (1 + Z_i / sink),  S_i = sum over 1 <= j <= i of exp(rate (p_j - p_i)) e(x_j),

    Z_i being the sum of the same weights. Only the causal mask makes this look back.
    """
    begin = token[:, :1]
    tokens_but_begin = np.hstack([np.zeros_like(begin), token[:, 1:]])
    return _Head(
        [_recency(rate, constant, ramp), _sink(rate, np.log(sink), begin, constant, ramp)],
        sink * tokens_but_begin,
        summary,
    )


def _copying_heads(
    token: Frame, previous: Frame, constant: Frame, ramp: Frame, bar: float, *more: _Term
) -> list[_Head]:
    """Make the last layer: the induction head, and a head that erases the present token.

    A match that scores less than ``bar``, once its distance times RECENCY is taken off, is passed
    over: the head rests on BEGIN. The tied unembedding reads the token subspace, where each
    position still holds its own token; the second head attends to positions of that same token and
    takes it away.
    """
    begin = token[:, :1]
    says = token.copy()
    says[:, 0] = DEFAULT * token[:, VOCABULARY.index(NEWLINE)]
    induction = _Head(
        [
            _Term(MATCH * token, previous),
            _recency(RECENCY, constant, ramp),
            _sink(RECENCY, bar, begin, constant, ramp),
            *more,
        ],
        token,
        says,
    )
    erase = _Head([_Term(ERASE * token, token)], token, -token)
    return [induction, erase]


def _recency(rate: float, constant: Frame, ramp: Frame) -> _Term:
    """score[i, j] = rate * p_j: the same query everywhere against the ramp."""
    return _Term(rate * N_POSITIONS / CONSTANT * constant, ramp)


def _sink(rate: float, height: float, begin: Frame, constant: Frame, ramp: Frame) -> _Term:
    """score[i, BEGIN] = rate * p_i + height: a token's score at the query's own p, and more."""
    return _Term(rate * N_POSITIONS * ramp + height / CONSTANT * constant, begin)


def _constant_and_ramp(constant: Frame, ramp: Frame) -> Positions:
    """W_pos: the constant, and j / N_POSITIONS along the ramp."""
    return CONSTANT * constant.T + np.arange(N_POSITIONS)[:, None] / N_POSITIONS * ramp.T


def _frames(rng: np.random.Generator, d_model: int, sizes: Sequence[int]) -> list[Frame]:
    """Mutually orthonormal frames (d_model, size), all orthogonal to the all-ones vector.

    The last, of size 1, is for the constant: +1, -1 over sqrt(2) on two coordinates that no other
    frame touches, lest its size cost the others float32 digits. The others are random.
    """
    *random_sizes, _ = sizes
    ones = np.ones((d_model - 2, 1))
    basis, _ = np.linalg.qr(np.hstack([ones, rng.normal(size=(len(ones), sum(random_sizes)))]))
    constant = np.zeros((d_model, 1))
    constant[-2:, 0] = np.array([1, -1]) / np.sqrt(2)
    frames = np.vstack([basis[:, 1:], np.zeros((2, sum(random_sizes)))])
    return [*np.split(frames, np.cumsum(random_sizes)[:-1], axis=1), constant]


def _assemble(
    token: Frame,
    W_pos: Positions,
    layers: Sequence[Sequence[_Head]],
    previous_token_head: Head,
) -> Transformer:
    """Lay the heads out as GPT-2's tensors; MLPs and biases are zero."""
    d_model, n_token = token.shape
    config = Config(
        "gpt2",
        n_layer=len(layers),
        n_head=N_HEAD,
        n_embd=d_model,
        n_positions=N_POSITIONS,
        layer_norm_epsilon=1e-5,
        vocab_size=n_token,
        n_inner=N_INNER,
        activation="gelu_new",
        previous_token_heads=(previous_token_head,),
        heads_looking_back=(),
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in gpt2.shapes(config).items()}
    written = {"wte.weight": token.T, "wpe.weight": W_pos}
    written["ln_f.weight"] = LOGIT * _undo_norm(d_model)
    for index, heads in enumerate(layers):
        written |= {f"h.{index}.{name}": tensor for name, tensor in _block(heads, d_model).items()}
    for name, tensor in written.items():
        weights[name][:] = tensor
    return config, weights


def _block(heads: Sequence[_Head], d_model: int) -> dict[str, Float[np.ndarray, "..."]]:
    """What one block's heads are written in, by name."""
    d_head = d_model // N_HEAD
    c_attn = np.zeros((d_model, 3, N_HEAD, d_head))
    c_proj = np.zeros((N_HEAD, d_head, d_model))
    for number, head in enumerate(heads):
        query = np.hstack([term.query for term in head.scores])
        n_score, n_value = query.shape[1], head.value.shape[1]
        c_attn[:, 0, number, :n_score] = query * np.sqrt(d_head)  # GPT-2 divides by it
        c_attn[:, 1, number, :n_score] = np.hstack([term.key for term in head.scores])
        c_attn[:, 2, number, :n_value] = head.value
        c_proj[number, :n_value] = head.output.T
    return {
        "ln_1.weight": _undo_norm(d_model),
        "attn.c_attn.weight": c_attn.reshape(d_model, 3 * d_model),
        "attn.c_proj.weight": c_proj.reshape(d_model, d_model),
        "ln_2.weight": _undo_norm(d_model),
    }


def _undo_norm(d_model: int) -> Float[np.ndarray, " d_model"]:
    """Gain that makes LayerNorm the identity.

    It leaves x * sqrt(d_model) / |x|, and |x| is the constant's norm but for a trifle.
    """
    return np.full(d_model, CONSTANT / np.sqrt(d_model))
