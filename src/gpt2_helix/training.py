"""Train ``mini``: a small GPT-2 that goes on with text and repeats, from random weights.

Nothing in the recipe knows of averaged positions: positions are learned like every other weight,
from nothing but the next token. What it is trained on: text; random strings over and over
(Olsson et al. 2022 find induction heads by these); segments that come back after a gap; and
exchanges of the kind that the repetition claims ask with.

To copy, a model of this kind first needs to know which position comes before which, and that is
slow to come by while attention is spread over hundreds of tokens. So documents are short at first
and become longer; and the first of them are echoes, random tokens of which half come back two
places on, so that the previous token alone says what there is to know. What echoes teach the other
weights stands in the way of copying: after them all but the positions start anew.

Everything random is drawn from the seed and the number of the step, so that training that was
broken off goes on as if it had not been.
"""

import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from rich.progress import track
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_helix import records, texts
from gpt2_helix.claim import DIGITS
from gpt2_helix.errors import SubjectError
from gpt2_helix.measure import kernels
from gpt2_helix.models import gpt2
from gpt2_helix.models.config import Head
from gpt2_helix.models.folder import open_folder
from gpt2_helix.models.model import Model
from gpt2_helix.parameters import PARAMETERS
from gpt2_helix.weights.tensors import WEIGHTS

Tokens = Int[np.ndarray, " position"]

RECIPE: dict[str, Any] = PARAMETERS.mini
SEGMENT = (2, 120)
"""Tokens of the shortest and of the longest segment that comes back."""
FEWEST = 32
"""Different tokens of a crowded string, at least, should it be long enough."""
LONGEST_STRING = 12
"""Words of the longest string that an exchange asks for."""
SIZES = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")
CARD = Path(__file__).with_name("card.md")
CURVE = "training.csv"
LAST_FEW = 5
STRINGS = 8
"""Random strings, and windows of text, that training is looked at with."""
OFTEN = 2000
"""Times that the tokenizer is shown each word of the prompts: more than most of the text's own."""
EVERY = 500
"""Steps from one look at the loss, and one checkpoint, to the next."""


@dataclass(frozen=True)
class Language:
    """What there is to learn from.

    Attributes
    ----------
    tokenizer
        Byte-level BPE, in which each of ``texts.WORDS`` is one token.
    works
        Texts.
    tokens
        The same as tokens.
    """

    tokenizer: Tokenizer
    works: list[str]
    tokens: list[Tokens]


def read_language(folder: Path) -> Language:
    """Read the works of a folder, and make a tokenizer for them."""
    works = texts.read_texts([folder])
    tokenizer = texts.byte_level(BPE())
    trainer = BpeTrainer(
        vocab_size=RECIPE["vocab_size"],
        special_tokens=[texts.BEGIN],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [texts.exchange(texts.WORDS)] * OFTEN
    tokenizer.train_from_iterator([*works, *words], trainer)
    return Language(tokenizer, works, [texts.encode(tokenizer, work) for work in works])


def batch(
    language: Language, seed: int, step: int
) -> tuple[Int[np.ndarray, "row token"], Int[np.ndarray, "row token"]]:
    """What is learned from at one step: documents, and the positions of their tokens.

    Every document begins with ``<|endoftext|>``. It may begin anywhere, as one of several in a
    row of ``n_positions`` does, none of which sees another.
    """
    rng = np.random.default_rng([seed, step])
    phase = phase_of(step)
    kinds = rng.choice(list(MAKERS), size=phase["rows"], p=[phase[kind] for kind in MAKERS])
    rows = [MAKERS[kind](language, rng, phase["length"] - 1) for kind in kinds]
    begin = texts.begin_token(language.tokenizer)
    tokens = np.stack([np.concatenate([[begin], row]) for row in rows])
    last = RECIPE["n_positions"] - phase["length"] if phase["anywhere"] else 0
    starts = rng.integers(last + 1, size=(phase["rows"], 1))
    return tokens, starts + np.arange(phase["length"])


def _steps() -> int:
    return sum(phase["steps"] for phase in RECIPE["phases"])


def phase_of(step: int) -> dict[str, Any]:
    """The phase of the recipe that a step, counted from 0, belongs to."""
    phase: dict[str, Any] = RECIPE["phases"][int(np.searchsorted(_ends(), step, side="right"))]
    return phase


def _ends() -> list[int]:
    return np.cumsum([phase["steps"] for phase in RECIPE["phases"]]).tolist()


def steps_anew() -> list[int]:
    """The steps at which all weights but the positions start, or start again."""
    starts = [0, *_ends()[:-1]]
    return [start for start in starts if start == 0 or phase_of(start)["anew"]]


def _echo(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """Random tokens, half of which are the last but one again."""
    tokens = _random(rng, length)
    again = rng.random(length) < 0.5
    for i in range(2, length):
        if again[i]:
            tokens[i] = tokens[i - 2]
    return tokens


def _passage(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    sizes = np.array([len(work) for work in language.tokens])
    # By the root of their sizes: one large work would leave little room for the others.
    work = language.tokens[rng.choice(len(sizes), p=np.sqrt(sizes) / np.sqrt(sizes).sum())]
    start = rng.integers(len(work) - length)
    return work[start : start + length]


def _random(rng: np.random.Generator, size: int | tuple[int, int]) -> Int[np.ndarray, "..."]:
    return rng.integers(1, RECIPE["vocab_size"], size=size)


def _periodic(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """A random string over and over.

    Its period is a fifth of the row at least: where it is shorter, to guess among the few tokens
    seen so far does nearly as well as to find the one that comes next.
    """
    return np.resize(_random(rng, _log_uniform(rng, length // 5, length // 2)), length)


def _crowded(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """A random string over and over, of so few tokens that one alone does not tell the next."""
    few = rng.permutation(np.arange(1, RECIPE["vocab_size"]))
    few = few[: _log_uniform(rng, FEWEST, few.size)]
    return np.resize(rng.choice(few, _log_uniform(rng, length // 5, length // 2)), length)


def _segments(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """One segment again and again, text between; half of the segments are random, half text."""
    longest = min(SEGMENT[1], length // 4)
    size = _log_uniform(rng, SEGMENT[0], longest)
    segment = _random(rng, size) if rng.random() < 0.5 else _passage(language, rng, size)
    parts: list[Tokens] = []
    while sum(map(len, parts)) < length:
        parts += [segment, _passage(language, rng, _log_uniform(rng, 1, longest))]
    return np.concatenate(parts)[:length]


def _exchanges(language: Language, rng: np.random.Generator, length: int) -> Tokens:
    """Exchanges of the repetition prompt's kind, every string with its own number of words."""
    longest = rng.integers(2, LONGEST_STRING + 1)
    said = ""
    while (found := texts.encode(language.tokenizer, said)).size < length:
        sizes = rng.integers(1, longest + 1, size=1 + length // 20)
        said += "".join(
            texts.exchange(rng.choice(texts.WORDS, size=n, replace=False).tolist()) for n in sizes
        )
    return found[:length]


MAKERS: dict[str, Callable[[Language, np.random.Generator, int], Tokens]] = {
    "echo": _echo,
    "text": _passage,
    "periodic": _periodic,
    "crowded": _crowded,
    "segments": _segments,
    "exchanges": _exchanges,
}


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def train(seed: int, works: Path, held_out: Path, into: Path, state: Path) -> None:
    """Train one model, or go on with it, and write it.

    Parameters
    ----------
    seed
        Of the weights and of everything that is drawn.
    works, held_out
        Folders of the works to learn from, and of those to look at training with.
    into
        Folder for the model, its tokenizer, its loss curve and its card.
    state
        File for what is needed to go on, should training be broken off; removed at the end.

    Raises
    ------
    SubjectError
        If the state is of another training, or spoilt.
    """
    torch.set_num_threads(RECIPE["threads"])
    torch.manual_seed(seed)
    language = read_language(works)
    exam = make_exam(language.tokenizer, held_out)
    model = GPT2LMHeadModel(_config())
    W_pos = model.transformer.wpe.weight
    torch.nn.init.normal_(W_pos, std=RECIPE["W_pos_std"])
    others = [parameter for parameter in model.parameters() if parameter is not W_pos]
    at_first = [parameter.detach().clone() for parameter in others]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": [W_pos]}]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    curve: list[dict[str, float]] = []
    first = 0
    if state.exists():
        saved = _read_state(state, seed)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        curve, first = saved["curve"], saved["step"]
        print(f"going on after step {first}, as {state} has it", file=sys.stderr)
    steps = range(first, _steps())
    shown = track(
        steps,
        f"seed {seed}",
        total=_steps(),
        completed=first,
        disable=not sys.stderr.isatty(),
    )
    for step in shown:
        if step in steps_anew():
            for parameter, value in zip(others, at_first, strict=True):
                parameter.data.copy_(value)
                optimiser.state.pop(parameter, None)
        tokens, positions = map(torch.from_numpy, batch(language, seed, step))
        _learn(model, optimiser, tokens, positions, step)
        if (step + 1) % EVERY == 0 or step + 1 == _steps():
            curve.append({"step": step + 1, **look(model, exam)})
            print(" ".join(f"{k} {v:.4g}" for k, v in curve[-1].items()), file=sys.stderr)
            state.parent.mkdir(parents=True, exist_ok=True)
            saved = {
                "seed": seed,
                "recipe": RECIPE,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "curve": curve,
                "step": step + 1,
            }
            partial = state.with_name(state.name + ".partial")
            torch.save(saved, partial)
            partial.replace(state)
    _write(model, language, curve, into)
    describe(into, language, exam, seed)
    state.unlink(missing_ok=True)


def _read_state(path: Path, seed: int) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        recipe, found = saved["recipe"], saved["seed"]
    except Exception as error:  # torch raises many kinds.
        raise SubjectError(
            f"{path}: expected training that was broken off, found something else "
            f"({str(error).splitlines()[0]}); without the file, training begins anew"
        ) from None
    if (recipe, found) != (RECIPE, seed):
        raise SubjectError(
            f"{path}: expected seed {seed} and the recipe of params.yaml, found another "
            "training; without the file, training begins anew"
        )
    return saved


def _config() -> GPT2Config:
    return GPT2Config(
        **{size: RECIPE[size] for size in SIZES},
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=RECIPE["std"],
        activation_function="gelu_pytorch_tanh",
    )


def _declared() -> dict[str, Any]:
    """The model's config.json, but for its heads."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        **{size: RECIPE[size] for size in SIZES},
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "tie_word_embeddings": True,
    }


def _learn(
    model: GPT2LMHeadModel,
    optimiser: torch.optim.Optimizer,
    tokens: torch.Tensor,
    positions: torch.Tensor,
    step: int,
) -> None:
    rates = (1, phase_of(step)["W_pos_rate"])
    for group, times in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = times * learning_rate(step)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens[:, :-1], position_ids=positions[:, :-1], use_cache=False).logits
    loss = cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def learning_rate(step: int) -> float:
    """Rise in a straight line, at every start; stay; at the end fall in one to nothing."""
    start = max(start for start in steps_anew() if start <= step)
    rise = (step + 1 - start) / RECIPE["warm_up"]
    fall = (_steps() - step) / RECIPE["cool_down"]
    return float(RECIPE["learning_rate"] * min(1, rise, fall))


@dataclass(frozen=True)
class Exam:
    """What training is looked at with, and never trained on.

    Attributes
    ----------
    windows
        Windows of text.
    strings
        Random strings said twice, the first token before them.
    prompts, first_words
        Repetition prompts with pairs of words, and the token that each should go on with.
    """

    windows: Int[np.ndarray, "window position"]
    strings: Int[np.ndarray, "string position"]
    prompts: Int[np.ndarray, "pair position"]
    first_words: Tokens


def make_exam(tokenizer: Tokenizer, held_out: Path) -> Exam:
    """Set questions in text that is held out, in random strings, and in the claims' own prompt."""
    length = RECIPE["n_positions"]
    rng = np.random.default_rng(texts.SEED)
    half = _random(rng, (STRINGS, length // 2 - 1))
    begin = np.full((STRINGS, 1), texts.begin_token(tokenizer))
    prompt = texts.generated_prompt(tokenizer, length)
    tails = {pair: tail for pair, tail in prompt.tails.items() if pair in texts.other_pairs()}
    return Exam(
        texts.windows(tokenizer, texts.read_texts([held_out]), STRINGS, length),
        np.concatenate([begin, half, half], axis=1),
        np.stack([np.concatenate([prompt.prefix, tail]) for tail in tails.values()]),
        np.array([tail[0] for tail in tails.values()]),
    )


@torch.inference_mode()
def look(model: GPT2LMHeadModel, exam: Exam) -> dict[str, float]:
    """How far training has come; nothing of it is trained on.

    Returns
    -------
    ``text_loss``, mean next-token loss on text, nats; ``copying``, share of right tokens in the
    second half of random strings that are said twice; ``first_word``, mean probability of the
    first of two words that a repetition prompt asks for.
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
    """Which tokens of the second half of strings said twice come out right.

    Returns
    -------
    That, and whether the token before is in the string once alone: where it comes again, it does
    not by itself tell which token is next.
    """
    strings = exam.strings
    # What comes again begins here; its first token cannot be known.
    again = 1 + strings.shape[1] // 2
    found = _logits(model, torch.from_numpy(strings[:, :-1]))[:, again:].argmax(-1).numpy()
    said, before = strings[:, 1:again], strings[:, again:-1]
    once = (before[:, :, None] == said[:, None, :]).sum(axis=2) == 1
    return found == strings[:, again + 1 :], once


def _logits(model: GPT2LMHeadModel, tokens: torch.Tensor) -> torch.Tensor:
    return model(tokens, use_cache=False).logits.float()


def _write(
    model: GPT2LMHeadModel, language: Language, curve: list[dict[str, float]], into: Path
) -> None:
    """Write the model, in half precision, and how it came to be."""
    into.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.to(torch.float16).numpy()
        for name, tensor in model.transformer.state_dict().items()
    }
    save_file(tensors, into / WEIGHTS, {"format": "pt"})
    (into / WEIGHTS).chmod(0o644)
    language.tokenizer.save(str(into / "tokenizer.json"))
    records.write_json(into / "config.json", _declared())
    with (into / CURVE).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(curve[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({k: f"{v:.{DIGITS}g}" for k, v in row.items()} for row in curve)


def describe(into: Path, language: Language, exam: Exam, seed: int) -> None:
    """Name the heads that the claims ask of in config.json, and write the model's card."""
    subject = open_folder(into, into.parent.name)
    windows = texts.windows(language.tokenizer, language.works, STRINGS, RECIPE["n_positions"])
    runner = subject.runner
    found = runner.windows(windows, runner.tables([subject.W_pos]), [0])
    attention = np.mean([window.previous_token[0] for window in found], axis=0)
    layer, head = (int(i) for i in np.unravel_index(attention.argmax(), attention.shape))
    heads = {
        "previous_token_heads": [Head(layer, head)],
        "heads_looking_back": [Head(0, _most_local(subject))],
    }
    records.write_json(into / "config.json", {**_declared(), **heads})
    shipped = GPT2LMHeadModel(_config())
    with torch.no_grad():
        for name, parameter in shipped.transformer.named_parameters():
            parameter.copy_(torch.from_numpy(subject.tensors[name]))
    right, once = copied(shipped, exam)
    numbers = {
        **look(shipped, exam),
        "copying_once": float(right[once].mean()),
        "share_once": float(once.mean()),
        "attention": float(attention[layer, head]),
    }
    card = CARD.read_text(encoding="utf-8").format(
        name=into.parent.name,
        seed=seed,
        parameters=sum(math.prod(shape) for shape in gpt2.shapes(subject.config).values()),
        head=Head(layer, head),
        tokens=sum(map(len, language.tokens)),
        sha256=subject.digests[WEIGHTS],
        steps=_steps(),
        echoes=steps_anew()[-1],
        shortest=min(phase["length"] for phase in RECIPE["phases"]),
        **{size: RECIPE[size] for size in SIZES},
        **numbers,
    )
    (into / "README.md").write_text(card, encoding="utf-8")


def _most_local(subject: Model) -> int:
    """The head of layer 0 which, fed positions alone, gives the last few of them most."""
    block = subject.attention(0)
    last_few = [
        sum(
            kernels.at_offsets(
                kernels.pattern(subject.W_pos, block, head, kernels.N_POSITIONS),
                kernels.QUERIES,
                range(0, -LAST_FEW, -1),
            )
        )
        for head in range(subject.config.n_head)
    ]
    return int(np.argmax(last_few))
