"""What each claim costs: ``python benchmarks/artifact.py FOLDER`` puts a table into ARTIFACT.md.

Every claim is judged in a process of its own on the model in FOLDER; wall time and peak memory
are those of the whole process, Python's start and the controls included.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpt2_helix.judging import wording
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.report import ClaimVerdict, read

ROOT = Path(__file__).parent.parent
BEGINS, ENDS = "<!-- claims -->\n", "<!-- /claims -->"


def run(test: str, folder: str) -> tuple[ClaimVerdict, float, float]:
    """Judge one claim; its verdict, seconds, and MiB at the peak."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "out.json")
        command = [sys.executable, "-m", "pytest", test, "-q", "-p", "no:cacheprovider"]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--subject", folder, "--claims-json", str(report)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        _, _, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        (claim,) = read(report).claims
    # Linux counts in KiB, macOS in bytes.
    return claim, seconds, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def outcome(claim: ClaimVerdict) -> str:
    """What a reader should see: the verdict, and the number nearest to its bound."""
    if claim.verdict == "blocked":
        return "blocked on the machine that made this table: not measured"
    return f"{claim.verdict}: {wording.said(claim, claim.evidence)}"


def main(folder: str) -> None:
    """Measure every claim and write the table."""
    lines = [
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}.\n",
        "| claim | needs | command | time, s | memory, MiB | expected output |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for path, function, _ in declared(ROOT / "claims"):
        test = f"claims/{path.name}::{function.__name__}"
        claim, seconds, memory = run(test, folder)
        cost = "- | -" if claim.verdict == "blocked" else f"{seconds:.1f} | {memory:.0f}"
        lines.append(
            f"| `{claim.id}` | {claim.needs} | `pytest {test}` | {cost} | {outcome(claim)} |"
        )
        print(lines[-1])
    text = (ROOT / "ARTIFACT.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    table = "\n".join(lines)
    (ROOT / "ARTIFACT.md").write_text(f"{before}{BEGINS}{table}\n{ENDS}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
