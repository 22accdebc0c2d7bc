"""A model's card, and the heads that its config.json names."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from gpt2_helix import texts
from gpt2_helix.judging.files import write_json
from gpt2_helix.measure import named_heads
from gpt2_helix.models import gpt2, on_text
from gpt2_helix.models.config import Head, chosen_heads
from gpt2_helix.models.sources import open_folder
from gpt2_helix.weights.tensors import WEIGHTS
from pipeline.training import exam
from pipeline.training.documents import Language
from pipeline.training.exam import Exam
from pipeline.training.recipe import Recipe


def declared(recipe: Recipe) -> dict[str, Any]:
    """The model's config.json, without its heads."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        **recipe.sizes,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "tie_word_embeddings": True,
    }


def describe(
    folder: Path,
    name: str,
    recipe: Recipe,
    model: GPT2LMHeadModel,
    language: Language,
    questions: Exam,
    seed: int,
) -> None:
    """Name the heads that the claims ask about in config.json, and write the model's card.

    The folder holds the model; ``model`` is one of its sizes, whose weights are replaced by those
    in the folder. The card is filled in from the template of the recipe's name.
    """
    shipped = open_folder(folder, folder.parent.name)
    windows = texts.windows(language.tokenizer, language.works, exam.STRINGS, recipe.n_positions)
    runner = shipped.runner
    tables = runner.tables([shipped.W_pos])
    found = on_text.previous_token(runner, windows, tables, first_query=1)
    attention = found.attention[:, 0].mean(0)
    layer, head = (int(i) for i in np.unravel_index(attention.argmax(), attention.shape))
    local = named_heads.heads_looking_back(shipped.W_pos, shipped.attention)
    heads = {
        "previous_token_heads": [Head(layer, head)],
        "heads_looking_back": chosen_heads(local)[:1],
    }
    write_json(folder / "config.json", {**declared(recipe), **heads})
    with torch.no_grad():
        for parameter_name, parameter in model.transformer.named_parameters():
            parameter.copy_(torch.from_numpy(shipped.tensors[parameter_name]))
    right, once = exam.copied(model, questions)
    numbers = {
        **exam.look(model, questions),
        "copying_once": float(right[once].mean()),
        "share_once": float(once.mean()),
        "attention": float(attention[layer, head]),
    }
    template = Path(__file__).with_name(f"{name}.md").read_text(encoding="utf-8")
    card = template.format(
        name=shipped.name,
        seed=seed,
        parameters=sum(math.prod(shape) for shape in gpt2.shapes(shipped.config).values()),
        head=Head(layer, head),
        tokens=sum(map(len, language.tokens)),
        sha256=shipped.digests[WEIGHTS],
        steps=recipe.steps,
        rows=recipe.phases[-1].rows,
        echoes=recipe.resets[-1],
        shortest=min(phase.length for phase in recipe.phases),
        **recipe.sizes,
        **numbers,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
