"""The commands that ``dvc.yaml`` runs and no user of the package needs."""

# What a command needs is imported when it runs: ``params.yaml``, which is read then, may hold a
# mistake, and torch and matplotlib take long to import.

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gpt2_helix.commands import add_weights, exit_code
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.files import given_path
from gpt2_helix.models.shipped import SEEDS, SHIPPED
from gpt2_helix.weights.pins import HUB_MODELS

DATA = Path("data")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("available", help="write which weights are available to a file")
    command.add_argument("subject", choices=HUB_MODELS)
    command.add_argument("--into", type=given_path, required=True, metavar="FILE")
    add_weights(command)
    command.set_defaults(run=available)

    command = commands.add_parser(
        "digitise", help="record what others published: the author's pictures, two notebooks"
    )
    published = os.environ.get("GPT2_HELIX_PUBLISHED", "")
    command.add_argument(
        "sources",
        type=given_path,
        nargs="*",
        metavar="FOLDER",
        default=[Path(path) for path in published.split(os.pathsep) if path],
        help="folder of the pictures; the notebook, or a folder with a JSON file for each of its "
        "layers; a folder with the scores of another "
        f"(default: $GPT2_HELIX_PUBLISHED, with {os.pathsep!r} between several)",
    )
    command.add_argument("--into", type=given_path, default=DATA / "published", metavar="FOLDER")
    command.set_defaults(run=digitise)

    command = commands.add_parser("train", help="train a model of data/, or resume its training")
    command.add_argument("name", choices=SHIPPED)
    command.set_defaults(run=train)

    command = commands.add_parser("curves", help="write the curves that figures draw to a folder")
    command.add_argument("--subject", required=True, metavar="NAME_OR_FOLDER")
    command.add_argument("--into", type=given_path, required=True, metavar="FOLDER")
    add_weights(command)
    command.set_defaults(run=curves)

    command = commands.add_parser("stages", help="draw the stages of dvc.yaml for a terminal")
    command.set_defaults(run=stages)

    options = parser.parse_args(arguments)
    return exit_code("pipeline", lambda: options.run(options))


def available(options: argparse.Namespace) -> None:
    """Write which weights are available."""
    from pipeline.available import look

    look(options.subject, options.into, options.weights, options.strict)


def digitise(options: argparse.Namespace) -> None:
    """Record what others published; without a source, the records stay as they are."""
    from pipeline.digitising.digitise import digitise, holds_scores

    # The record of the pictures names places by the scores.
    for source in sorted(options.sources, key=holds_scores, reverse=True):
        for path in digitise(source, options.into):
            print(path)
    if not options.sources:
        print(f"{options.into}: nothing published given, kept as recorded")


def train(options: argparse.Namespace) -> None:
    """Train one of the models in ``data/``."""
    if not (DATA / "training").is_dir():
        raise InputError(
            f"{DATA}/training: expected texts to train on, as a checkout has, found none"
        )
    from pipeline.training import loop

    name = options.name
    recipe, seeds = next((recipe, seeds) for recipe, seeds in SEEDS.items() if name in seeds)
    state = Path("build/training") / f"{name}.pt"
    loop.train(recipe, seeds.index(name), DATA, DATA / name, state)
    print(DATA / name)


def curves(options: argparse.Namespace) -> None:
    """Write the curves of a subject."""
    from pipeline.curves import record

    record(options.subject, options.into, options.weights, options.strict)


def stages(options: argparse.Namespace) -> None:
    """Draw the stages; ``options`` holds nothing for it."""
    from pipeline import drawing

    print(drawing.stages())


if __name__ == "__main__":
    sys.exit(main())
