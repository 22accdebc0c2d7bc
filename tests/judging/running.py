"""Pytest within pytest."""

import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

Run = subprocess.CompletedProcess[str]


def run_pytest(cwd: Path, *arguments: str) -> Run:
    """Run pytest in a folder, in this process."""
    # The second collects garbage, which takes long; the run around this one does too. The third
    # warns if hypothesis was used before it is loaded, as tests of this process may have done.
    left_out = ("cacheprovider", "unraisableexception", "hypothesispytest")
    command = [*arguments, *(part for name in left_out for part in ("-p", f"no:{name}"))]
    out, err = StringIO(), StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        code = pytest.main([*command])
    for name in [name for name in sys.modules if name.partition(".")[0] == "claims"]:
        del sys.modules[name]  # The next run may be of other files.
    return Run(command, code, out.getvalue(), err.getvalue())
