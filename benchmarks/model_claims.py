"""What the claims that run a model cost, on a GPT-2 small of random weights, in one process.

Prints three lines:

``floor_ratio``
    Time of all these claims over that of the floor: the same tokens under the same number of
    doctorings through plain transformers with sdpa under inference mode. Text: whole windows with
    logits at every position. Repetition: the tokens that are run, the prefix once for each
    doctoring and the tails of both orders once, with logits at the last position.
``naive_ratio``
    Time of the naive way over that of all these claims: each claim in turn, each prompt and each
    doctoring alone through ``TransformerBridge.run_with_cache``. It is timed on a few passes and
    multiplied by the number of passes that the claims ask for.
``peak_gib``
    Largest resident memory of the process once the claims were measured, before the others ran.

``python benchmarks/model_claims.py [WINDOWS]``; the median of three rounds, the sides in turn.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_helix import doctoring
from gpt2_helix.measure import output, repetition
from gpt2_helix.models import on_text
from gpt2_helix.models.built import RandomWeights, segments, word_tokenizer
from gpt2_helix.models.config import config_from
from gpt2_helix.models.model import Model
from gpt2_helix.suite.live import Live
from gpt2_helix.texts import TextInputs

SIZES = GPT2Config()
"""Those of GPT-2 small."""
ROUNDS = 3
NAIVE_PASSES = 3
# Intact and the sizes of each claim: unchanged, breaks, main heads, heads doctored.
NAIVE_TEXT_PASSES = 4 + 4 + 1 + 2


def main(n_windows: int) -> None:
    """Print the three numbers."""
    subject = _subject(n_windows)
    on_text.window_statistics(
        subject.model.runner, subject.windows[:1, :32], _tables(subject)[:2, :32]
    )

    def ours() -> None:
        output.on_text(subject.model.runner, subject.model.W_pos, subject.windows)
        repetition.first_word(subject.model.runner, subject.model.W_pos, subject.prompt)

    first = _seconds(ours)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    plain, bridge = _plain(), _bridge()

    def floor() -> None:
        _floor(plain, subject)

    rounds = [(first, _seconds(floor), _naive_seconds(bridge, subject))]
    while len(rounds) < ROUNDS:
        rounds.append((_seconds(ours), _seconds(floor), _naive_seconds(bridge, subject)))
    for number, (a, b, c) in enumerate(rounds):
        print(f"round {number}: ours {a:.1f} s, floor {b:.1f} s, naive {c:.0f} s", file=sys.stderr)
    print(f"floor_ratio {statistics.median(a / b for a, b, _ in rounds):.2f}")
    print(f"naive_ratio {statistics.median(c / a for a, _, c in rounds):.1f}")
    print(f"peak_gib {peak:.2f}")


def _subject(n_windows: int) -> Live:
    """GPT-2 small before any training, with the tokenizer and the text of models made here."""
    config = config_from(SIZES.to_dict(), "benchmark")
    model = Model("random", config, RandomWeights(config), own_tokenizer=word_tokenizer())
    return Live("random", model, TextInputs(n_windows=n_windows, made=segments))


def _seconds(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _tables(subject: Live) -> torch.Tensor:
    return subject.model.runner.tables(
        list(doctoring.doctor_all(subject.model.W_pos, output.DOCTORINGS).values())
    )


def _repetition_doctorings() -> int:
    return 1 + _offsets() + len(repetition.LARGER)


def _offsets() -> int:
    return sum(doctoring.group_size(name) or 0 for name in repetition.SWEPT)


@torch.inference_mode()
def _floor(plain: Any, subject: Live) -> None:
    """As many tokens under as many doctorings, in plain transformers' own time."""
    for window in subject.windows:
        batch = torch.from_numpy(window).expand(len(output.DOCTORINGS), -1)
        for first in range(0, len(batch), 4):
            plain(batch[first : first + 4], use_cache=False)
    tails = np.concatenate([subject.prompt.tails[pair] for pair in repetition.BOTH])
    context = subject.model.config.n_positions
    for _ in range(_repetition_doctorings()):
        tokens = np.concatenate([subject.prompt.prefix, tails])[:context]
        plain(torch.from_numpy(tokens)[None], use_cache=False, logits_to_keep=1)


def _naive_seconds(bridge: Any, subject: Live) -> float:
    """Time of the naive way, from a few passes of each kind and the number of passes."""
    window = torch.from_numpy(subject.windows[0])[None]
    pair = next(iter(subject.prompt.tails))
    prompt = torch.from_numpy(np.concatenate([subject.prompt.prefix, subject.prompt.tails[pair]]))

    @torch.inference_mode()
    def a_pass(tokens: torch.Tensor) -> float:
        return statistics.median(
            _seconds(lambda: bridge.run_with_cache(tokens)) for _ in range(NAIVE_PASSES)
        )

    prompts = len(repetition.BOTH)
    # First word intact; survival at each size; every offset of each size; larger sizes.
    doctored = 1 + len(repetition.SWEPT) + _offsets() + len(repetition.LARGER)
    return NAIVE_TEXT_PASSES * len(subject.windows) * a_pass(window) + (
        doctored * prompts * a_pass(prompt[None])
    )


def _plain() -> Any:
    torch.manual_seed(0)
    return GPT2LMHeadModel(SIZES).train(False)


def _bridge() -> Any:
    """Make the bridge as ``boot_transformers`` does, which would ask the hub for a tokenizer."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model = _plain()
    model.set_attn_implementation("eager")
    return build_bridge_from_module(model, "GPT2LMHeadModel", hf_config=model.config)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
