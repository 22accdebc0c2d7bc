"""How far training has come, on text, strings and prompts that are never trained on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel

from gpt2_helix import prompts, texts
from gpt2_helix.texts import Tokens
from pipeline.training.documents import random_tokens

STRINGS = 8
"""Random strings, and windows of text, in the exam."""


@dataclass(frozen=True)
class Exam:
    """Questions of the exam."""

    windows: Int[np.ndarray, "window _token"]  # Of text.
    strings: Int[np.ndarray, "string _token"]  # Random, said twice, after the first token.
    prompts: Int[np.ndarray, "pair _token"]  # Repetition prompts with pairs of words.
    first_words: Tokens  # What should follow each prompt.


def make_exam(tokenizer: Tokenizer, held_out: Path, length: int) -> Exam:
    """Make the exam from a folder of held-out text, random strings and the claims' own prompt."""
    rng = np.random.default_rng(prompts.SEED)
    half = random_tokens(tokenizer, rng, (STRINGS, length // 2 - 1))
    begin = np.full((STRINGS, 1), texts.begin_token(tokenizer))
    prompt = prompts.generated_prompt(tokenizer, length)
    pairs = prompts.draw_pairs(prompts.OTHER_PAIRS)
    tails = [tail for pair, tail in prompt.tails.items() if pair in pairs]
    return Exam(
        texts.windows(tokenizer, texts.read_texts([held_out]), STRINGS, length),
        np.concatenate([begin, half, half], axis=1),
        np.stack([np.concatenate([prompt.prefix, tail]) for tail in tails]),
        np.array([tail[0] for tail in tails]),
    )


@torch.inference_mode()
def look(model: GPT2LMHeadModel, exam: Exam) -> dict[str, float]:
    """Take the exam.

    The answers are ``text_loss``, mean next-token loss on text, nats; ``copying``, share of right
    tokens in the second half of random strings that are said twice; ``first_word``, mean
    probability of the first of two words that a repetition prompt asks for.
    """
    text, prompts = (torch.from_numpy(tokens) for tokens in (exam.windows, exam.prompts))
    text_loss = cross_entropy(_logits(model, text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
    said = model(prompts, use_cache=False, logits_to_keep=1).logits[:, 0].float().softmax(-1)
    return {
        "text_loss": float(text_loss),
        "copying": float(copied(model, exam)[0].mean()),
        "first_word": float(said[np.arange(len(said)), exam.first_words].mean()),
    }


@torch.inference_mode()
def copied(
    model: GPT2LMHeadModel, exam: Exam
) -> tuple[Bool[np.ndarray, "string token"], Bool[np.ndarray, "string token"]]:
    """Tell which tokens of the second half of strings said twice come out right.

    And whether the token before occurs once in the string: a token that occurs more often does not
    by itself tell which token is next.
    """
    strings = exam.strings
    # The second half begins here; its first token cannot be known.
    again = 1 + strings.shape[1] // 2
    found = _logits(model, torch.from_numpy(strings[:, :-1]))[:, again:].argmax(-1).numpy()
    said, before = strings[:, 1:again], strings[:, again:-1]
    once = (before[:, :, None] == said[:, None, :]).sum(axis=2) == 1
    return found == strings[:, again + 1 :], once


def _logits(model: GPT2LMHeadModel, tokens: torch.Tensor) -> torch.Tensor:
    return model(tokens, use_cache=False).logits.float()
