"""What a model does on text, under many doctorings at once; only what is asked for is kept.

Heads are read first, and the final residual streams of those runs are kept until distributions are
asked for, which need no further run of them. They are known by the sha256 of what was fed.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_helix.judging.errors import InputError
from gpt2_helix.models.config import Head
from gpt2_helix.models.heads import scores
from gpt2_helix.models.runner import ROWS_AT_A_TIME, Runner, Tables

VOCABULARY_AT_A_TIME = 32
"""Positions whose distributions are held at once: at GPT-2's vocabulary 70 MB for 11 doctorings."""
QUERIES_AT_A_TIME = 128


@dataclass(frozen=True)
class WindowStatistics:
    """One window of text under every doctoring."""

    kl: Float[np.ndarray, " doctoring"]  # Mean of KL(first doctoring || this one), nats.
    loss: Float[np.ndarray, " doctoring"]  # Mean next-token loss, nats.
    # Share of positions whose most probable token is the same as under the first doctoring; a tie
    # for first place counts.
    same_top: Float[np.ndarray, " doctoring"]


@dataclass(frozen=True)
class OnText:
    """Every head under every doctoring, in each window of text; means over its queries."""

    # Share of queries that give the previous token more than any other key but the first token.
    share: Float[np.ndarray, "window doctoring layer head"]
    attention: Float[np.ndarray, "window doctoring layer head"]  # To the previous token.
    # By offset behind the query, and to the first token: of queries for which the furthest is
    # not the first token.
    profile: Float[np.ndarray, "window doctoring layer head offset"]
    on_first: Float[np.ndarray, "window doctoring layer head"]


@torch.inference_mode()
def window_statistics(
    runner: Runner, windows: Int[np.ndarray, "window token"], tables: Tables
) -> list[WindowStatistics]:
    """Run windows of text under every doctoring; the first is what others are compared with."""
    n, length = len(tables), windows.shape[1]
    size = VOCABULARY_AT_A_TIME * n * runner.config.vocab_size
    # Allocating this for every few positions would cost as much as computing the numbers.
    space = torch.empty(2, size, device=runner.device)
    found = []
    known = _known_by(tables)
    for window in windows:
        tokens = runner.to_tensor(window)
        names = [known(window, i) for i in range(n)]
        kept = {i: runner.kept.pop(name) for i, name in enumerate(names) if name in runner.kept}
        new = [i for i in range(n) if i not in kept]

        def run(rows: list[int], tokens: Tensor = tokens, new: list[int] = new) -> Tensor:
            some = tables[[new[i] for i in rows]]
            return runner.hidden(tokens.expand(len(rows), length), some)[0]

        ran = (row for part in _in_parts(run, len(new)) for row in part)
        kept |= dict(zip(new, ran, strict=True))
        hidden = torch.stack([kept[i] for i in range(n)])
        kl, loss, same = _compare(runner, hidden, tokens, space)
        found.append(
            WindowStatistics(
                (kl / length).numpy(), (loss / (length - 1)).numpy(), (same / length).numpy()
            )
        )
    return found


@torch.inference_mode()
def previous_token(
    runner: Runner,
    windows: Int[np.ndarray, "window token"],
    tables: Tables,
    first_query: int,
    offsets: int = 0,
) -> OnText:
    """Look where every head attends, for queries from ``first_query`` on.

    A profile has so many ``offsets``: the query itself and those before it.
    """
    found = []
    known = _known_by(tables)
    for window in windows:
        tokens = runner.to_tensor(window)

        def run(
            rows: list[int], tokens: Tensor = tokens, window: Int[np.ndarray, " token"] = window
        ) -> Tensor:
            seen: list[Tensor] = []

            def keep(layer: int, qkv: Tensor, hook: Any) -> None:
                of_rows = [_previous_token(runner, row, layer, first_query, offsets) for row in qkv]
                seen.append(torch.stack(of_rows))

            layers = range(runner.config.n_layer)
            hooks = [(f"blocks.{n}.attn.qkv.hook_out", partial(keep, n)) for n in layers]
            hidden, _ = runner.hidden(tokens.expand(len(rows), -1), tables[rows], hooks=hooks)
            runner.kept |= {known(window, i): own for i, own in zip(rows, hidden, strict=True)}
            return torch.stack(seen, dim=1)

        found.append(torch.cat(list(_in_parts(run, len(tables)))))
    numbers = torch.stack(found).double().cpu().numpy()
    share, attention, on_first = np.moveaxis(numbers[..., :3], -1, 0)
    return OnText(share, attention, numbers[..., 3:], on_first)


@torch.inference_mode()
def patterns(
    runner: Runner, tokens: Int[np.ndarray, " token"], tables: Tables, heads: Sequence[Head]
) -> Float[np.ndarray, "doctoring head token token"]:
    """Attention patterns of some heads on a short text under every doctoring."""
    found: dict[Head, Tensor] = {}

    def keep(head: Head, value: Tensor, hook: Any) -> None:
        query, key = runner.query_key(value, head.layer)
        seen = runner.mask(len(tokens), head.layer)
        found[head] = scores(query[:, head.head], key[:, head.head], seen).softmax(-1)

    hooks = [(f"blocks.{head.layer}.attn.qkv.hook_out", partial(keep, head)) for head in heads]
    rows = runner.to_tensor(tokens).expand(len(tables), -1)
    runner.hidden(rows, tables, hooks=hooks)
    return torch.stack([found[head] for head in heads], dim=1).cpu().numpy()


@torch.inference_mode()
def continuations(
    runner: Runner,
    prefix: Int[np.ndarray, " prefix"],
    tails: Int[np.ndarray, "tail token"],
    tables: Tables,
) -> Float[np.ndarray, "doctoring tail vocabulary"]:
    """Next-token probabilities after a common prefix and each of several tails.

    The prefix is run once for each doctoring. The tails follow side by side in one sequence.
    Each has the positions that it would have alone, and a mask that lets it see the prefix
    and itself; so the cached keys and values need not be copied.
    """
    n, length = tails.shape
    place = torch.arange(n * length)
    own = place[:, None] // length == place[None] // length
    seen = own & (place[:, None] >= place[None])
    all_prefix = torch.ones(n * length, len(prefix), dtype=torch.bool)
    mask = torch.cat([all_prefix, seen], dim=1).to(runner.device)[None, None]
    positions = torch.arange(len(prefix), len(prefix) + length).repeat(n)
    packed = runner.to_tensor(tails.reshape(-1))

    def run(rows: list[int]) -> Tensor:
        some = tables[rows]
        _, cache = runner.hidden(runner.to_tensor(prefix).expand(len(rows), -1), some, cache=True)
        hidden, _ = runner.hidden(
            packed.expand(len(rows), -1), some, positions, past=cache, mask=mask
        )
        last = hidden.view(len(rows), n, length, -1)[:, :, -1]
        return _finite(last @ runner.unembedding).softmax(-1).cpu()

    return torch.cat(list(_in_parts(run, len(tables)))).numpy()


def _known_by(tables: Tables) -> Callable[[Int[np.ndarray, " token"], int], bytes]:
    """What names a window under one of these doctorings."""
    rows = [sha256(table.cpu().numpy().tobytes()).digest() for table in tables]
    return lambda window, i: sha256(window.tobytes() + rows[i]).digest()


def _previous_token(
    runner: Runner, qkv: Float[Tensor, "position qkv"], layer: int, first: int, offsets: int
) -> Float[Tensor, "head number"]:
    """Share, attention, that to the first token and the profile, as of ``OnText``.

    No pattern of all queries and keys is kept.
    """
    n = len(qkv)
    query, key = (part[0] for part in runner.query_key(qkv[None], layer))
    near, around = [], []
    for a in range(first, n, QUERIES_AT_A_TIME):
        z = min(a + QUERIES_AT_A_TIME, n)
        rows = torch.arange(a, z)
        at, before = rows - a, rows - 1
        given = scores(query[:, a:z], key[:, :z], runner.mask(z, layer)[a:])
        pattern = given.softmax(-1)
        previous = given[:, at, before]
        given[:, at, before] = -torch.inf
        won = previous > given[..., 1:].amax(-1)
        near.append(torch.stack([won.float(), pattern[:, at, before]], dim=-1))
        deep = rows[rows >= offsets]
        behind = deep[:, None] - torch.arange(offsets)
        keys = torch.cat([torch.zeros(len(deep), 1, dtype=behind.dtype), behind], dim=1)
        around.append(pattern[:, (deep - a)[:, None], keys])
    return torch.cat([torch.cat(part, dim=1).mean(1) for part in (near, around)], dim=-1)


def _compare(
    runner: Runner,
    hidden: Float[Tensor, "doctoring position d_model"],
    tokens: Int[Tensor, " token"],
    space: Float[Tensor, "2 size"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over positions of KL, loss and agreement, a few positions at a time."""
    n, length = hidden.shape[:2]
    vocabulary = runner.config.vocab_size
    kl, loss, same = (torch.zeros(n, dtype=torch.float64) for _ in range(3))
    for a in range(0, length, VOCABULARY_AT_A_TIME):
        z = min(a + VOCABULARY_AT_A_TIME, length)
        m = z - a
        logits, log_p = (s[: m * n * vocabulary].view(m * n, vocabulary) for s in space)
        rows = hidden[:, a:z].transpose(0, 1).reshape(m * n, -1)
        torch.mm(rows, runner.unembedding, out=logits)
        torch.log_softmax(logits, -1, out=log_p)
        by_position = log_p.view(m, n, vocabulary)
        p = torch.exp(by_position[:, 0], out=logits[:m])
        cross = _finite(torch.bmm(by_position, p[:, :, None])[..., 0])
        kl += (cross[:, :1] - cross).double().sum(0).cpu()
        top = p.argmax(-1)[:, None, None].expand(m, n, 1)
        tops = by_position.gather(-1, top)[..., 0] >= by_position.amax(-1)
        same += tops.double().sum(0).cpu()
        target = tokens[a + 1 : z + 1]
        at = target[:, None, None].expand(len(target), n, 1)
        loss -= by_position[: len(target)].gather(-1, at)[..., 0].double().sum(0).cpu()
    return kl, loss, same


def _finite(values: Tensor) -> Tensor:
    if not torch.isfinite(values).all():
        raise InputError("model: expected finite logits, found NaN or infinite ones")
    return values


def _in_parts(run: Callable[[list[int]], Tensor], n_rows: int) -> Iterator[Tensor]:
    """Run some rows at a time; if memory runs out, halve their number and say so."""
    size, done = ROWS_AT_A_TIME, 0
    while done < n_rows:
        rows = list(range(done, min(done + size, n_rows)))
        try:
            part = run(rows)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or size == 1:
                raise
            size = (size + 1) // 2
            print(
                f"memory: not enough for more, continuing with {size} rows at once", file=sys.stderr
            )
            continue
        done += len(rows)
        yield part


def _out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; on the CPU torch has no error type for it."""
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in str(error)
        or "not enough memory" in str(error)
    )
