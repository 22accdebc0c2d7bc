"""The training loop: from random weights to a model in ``data/``.

Trained again on the same machine, a model has the same bytes. On another, sums may be rounded
differently, and thousands of steps later most digits differ.

Nothing in it knows of averaged positions: positions are learned like every other weight, from the
next token alone. Held-out text is looked at on the way, and changes nothing.
"""

import sys
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from safetensors.numpy import save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.files import write_json
from gpt2_helix.models.config import config_from
from gpt2_helix.models.runner import Runner
from gpt2_helix.weights.tensors import WEIGHTS
from pipeline import tables
from pipeline.training import card, documents, exam, formation
from pipeline.training.documents import Language
from pipeline.training.recipe import Recipe, read_recipe

CURVE = "training.csv"
EVERY = 500
"""Steps from one exam, and one checkpoint, to the next."""


@dataclass
class Progress:
    """What grows while a model is trained."""

    step: int = 0  # Steps taken.
    # Results of the exam, and the steps that they were taken at.
    curve: list[dict[str, float]] = field(default_factory=list)
    stages: list[formation.Stage] = field(default_factory=list)
    snapshots: dict[int, torch.Tensor] = field(default_factory=dict)  # W_pos by step.


@dataclass
class Training:
    """A model that is trained."""

    recipe: Recipe
    seed: int
    model: GPT2LMHeadModel
    optimiser: torch.optim.AdamW
    progress: Progress = field(default_factory=Progress)


def train(name: str, seed: int, data: Path, into: Path, state: Path) -> None:
    """Train one model by the recipe of a name, or resume its training, and write it.

    ``data`` holds ``training``, the works to learn from, and ``texts``, which are held out. Into a
    folder go the table of ``formation`` and, in ``model``, the model and all that belongs to it.
    ``state`` is the file that interrupted training resumes from; it is removed at the end.
    ``InputError`` if it is damaged, or that of another training.
    """
    recipe = read_recipe(name)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed)
    language = documents.read_language(data / "training", recipe.vocab_size)
    questions = exam.make_exam(language.tokenizer, data / "texts", recipe.n_positions)
    model = GPT2LMHeadModel(transformers_config(recipe))
    W_pos = model.transformer.wpe.weight
    torch.nn.init.normal_(W_pos, std=recipe.W_pos_std)
    others = [parameter for parameter in model.parameters() if parameter is not W_pos]
    at_first = [parameter.detach().clone() for parameter in others]
    # Positions are a group apart, whose learning rate is their own.
    groups: list[dict[str, Any]] = [{"params": others}, {"params": [W_pos]}]
    optimiser = torch.optim.AdamW(groups, betas=recipe.betas, weight_decay=recipe.weight_decay)
    training = Training(recipe, seed, model, optimiser)
    if state.exists():
        _resume(training, state)
        print(f"resuming after step {training.progress.step}, from {state}", file=sys.stderr)
    else:
        _observe(training, questions)
    progress = training.progress
    steps = track(
        range(progress.step, recipe.steps),
        f"{name}, seed {seed}",
        total=recipe.steps,
        completed=progress.step,
        disable=not sys.stderr.isatty(),
    )
    for step in steps:
        if step in recipe.resets:
            _reset(others, at_first, optimiser)
        _learn(model, optimiser, recipe, language, seed, step)
        progress.step = step + 1
        _observe(training, questions)
        if progress.step % EVERY == 0 or progress.step == recipe.steps:
            progress.curve.append({"step": progress.step, **exam.look(model, questions)})
            shown = " ".join(f"{k} {v:.4g}" for k, v in progress.curve[-1].items())
            print(shown, file=sys.stderr)
            _save(training, state)
    _write(training, language, into)
    card.describe(into / "model", name, recipe, model, language, questions, seed)
    state.unlink(missing_ok=True)


def _reset(
    parameters: list[torch.nn.Parameter],
    at_first: list[torch.Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Give parameters their first values again, and forget how they were moved."""
    for parameter, value in zip(parameters, at_first, strict=True):
        parameter.data.copy_(value)
        optimiser.state.pop(parameter, None)


def _learn(
    model: GPT2LMHeadModel,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    language: Language,
    seed: int,
    step: int,
) -> None:
    """Take one step, on the batch of its number."""
    tokens, positions = map(torch.from_numpy, documents.batch(recipe, language, seed, step))
    rates = (1, recipe.phase_of(step).W_pos_rate)
    for group, times in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = times * recipe.learning_rate_at(step)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        logits = model(tokens[:, :-1], position_ids=positions[:, :-1], use_cache=False).logits
    loss = cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def _observe(training: Training, questions: exam.Exam) -> None:
    """Measure how far the curve has formed, if it is time to."""
    recipe, progress = training.recipe, training.progress
    if progress.step not in formation.looks(recipe.steps):
        return
    tensors = {
        name: tensor.detach().numpy()
        for name, tensor in training.model.transformer.state_dict().items()
    }
    runner = Runner(config_from(card.declared(recipe), "recipe"), tensors)
    W_pos = tensors["wpe.weight"]
    progress.stages.append(formation.look_at(progress.step, runner, W_pos, questions.windows))
    if progress.step in formation.kept(recipe.steps):
        progress.snapshots[progress.step] = torch.from_numpy(W_pos).half()


def _save(training: Training, state: Path) -> None:
    """Write all that is needed to resume, whole or not at all."""
    state.parent.mkdir(parents=True, exist_ok=True)
    saved = {
        "seed": training.seed,
        "recipe": training.recipe.model_dump(mode="json"),
        "model": training.model.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        **asdict(training.progress),
    }
    partial = state.with_name(state.name + ".partial")
    torch.save(saved, partial)
    partial.replace(state)


def _resume(training: Training, state: Path) -> None:
    """Bring a training to where the state left it."""
    try:
        saved: dict[str, Any] = torch.load(state, weights_only=True)
        of = (saved["recipe"], saved["seed"])
    except Exception as error:  # torch raises many kinds.
        raise InputError(
            f"{state}: expected the state of interrupted training, found something else "
            f"({str(error).splitlines()[0]}); remove the file to train from the start"
        ) from None
    if of != (training.recipe.model_dump(mode="json"), training.seed):
        raise InputError(
            f"{state}: expected seed {training.seed} and the recipe of params.yaml, found another "
            "training; remove the file to train from the start"
        )
    training.model.load_state_dict(saved["model"])
    training.optimiser.load_state_dict(saved["optimiser"])
    stages = [formation.Stage(**stage) for stage in saved["stages"]]
    training.progress = Progress(saved["step"], saved["curve"], stages, saved["snapshots"])


def transformers_config(recipe: Recipe) -> GPT2Config:
    """Sizes and first weights of a model for transformers, without dropout."""
    return GPT2Config(
        **recipe.sizes,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=recipe.std,
        activation_function="gelu_pytorch_tanh",
    )


def _write(training: Training, language: Language, into: Path) -> None:
    """Write the model, in half precision, and how it was trained."""
    folder, progress = into / "model", training.progress
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.to(torch.float16).numpy()
        for name, tensor in training.model.transformer.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    language.tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", card.declared(training.recipe))
    tables.write(folder / CURVE, list(progress.curve[0]), (row.values() for row in progress.curve))
    columns = [column.name for column in fields(formation.Stage)]
    tables.write(into / formation.TABLE, columns, map(astuple, progress.stages))
    formation.write_snapshots(progress.snapshots, folder / formation.SNAPSHOTS)
