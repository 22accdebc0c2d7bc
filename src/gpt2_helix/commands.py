"""What the commands of ``gpt2-helix`` and of the pipeline share."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.files import given_path

UNCHECKED, BROKEN_PIPE = 4, 141
"""Exit codes: where Python runs without assertions, and where nobody reads what is written."""


def refuse_optimised() -> None:
    """Refuse ``python -O``: claims are assertions, which it leaves out."""
    if not __debug__:
        raise InputError(
            "expected Python with assertions, found -O or PYTHONOPTIMIZE, which leaves them out"
        )


def given_file(text: str) -> Path:
    """Make a path of what is to be read; what is there and no file would be waited for."""
    path = given_path(text)
    if path.exists() and not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a regular file, found {text:.160}")
    return path


def exit_code(program: str, run: Callable[[], int | None]) -> int:
    """Run a command, and give its exit code.

    That is what it returns, or 0; 2 with one line on stderr if what it reads cannot be used.
    """
    try:
        refuse_optimised()
        code = run() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # As of ``| head``; Python flushes again as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (InputError, MissingInputError, NothingToMeasureError) as error:
        said = str(error)
    except OSError as error:
        if error.filename is None:  # Not about a file that an option names.
            raise
        said = f"{error.filename}: expected it to be read or written, found {error.strerror}"
    print(f"{program}: {said}", file=sys.stderr)
    return 2 if __debug__ else UNCHECKED


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
