"""What the commands of ``gpt2-helix`` and of the pipeline share."""

import argparse
import os
import sys
from collections.abc import Callable

from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError


def exit_code(program: str, run: Callable[[], object]) -> int:
    """Run a command; 0 on success, 2 with one line on stderr if what it reads cannot be used."""
    try:
        run()
        return 0
    except (InputError, MissingInputError, NothingToMeasureError) as error:
        said = str(error)
    except OSError as error:
        if error.filename is None:  # Not about a file that an option names.
            raise
        said = f"{error.filename}: expected it to be read or written, found {error.strerror}"
    print(f"{program}: {said}", file=sys.stderr)
    return 2


def add_weights(command: argparse.ArgumentParser) -> None:
    """Add the options that say where weights are."""
    command.add_argument(
        "--weights",
        default=os.environ.get("GPT2_HELIX_WEIGHTS"),
        metavar="FOLDER",
        help="folder that holds a model of the hub (default: $GPT2_HELIX_WEIGHTS)",
    )
    command.add_argument(
        "--strict",
        action="store_true",
        default=bool(os.environ.get("GPT2_HELIX_STRICT")),
        help="fail if weights are not available, instead of keeping the record "
        "(default: whether $GPT2_HELIX_STRICT is set)",
    )
