"""Wall time of ``pytest claims/``, by what the claims need.

``python benchmarks/claims.py FOLDER`` prints the median of three runs of each, in seconds, and
which of the slow imports the claims on the helix made.
"""

import statistics
import subprocess
import sys
import time

RUNS = 3
TIMED = {
    "helix": ("helix",),
    "positions_and_kernels": ("architecture", "positions", "helix", "averaging", "kernels"),
    "attention_alone": ("attention_only", "extended"),
    "cause": ("cause",),
    "attention_alone_and_cause": ("attention_only", "extended", "cause"),
}
"""Families of claims by what their time is called."""
SLOW_IMPORTS = ("torch", "transformers", "transformer_lens")


def files(families: tuple[str, ...]) -> list[str]:
    """Where these families are."""
    return [f"claims/test_{family}.py" for family in families]


def seconds(*arguments: str) -> float:
    """Wall time of one run, in which nothing may be refuted."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


def slow_imports(*arguments: str) -> list[str]:
    """Which slow packages a run imports."""
    code = (
        "import sys, pytest; code = pytest.main(sys.argv[1:]); "
        f"print('imported', *(m for m in {SLOW_IMPORTS} if m in sys.modules)); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "-q", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()[-1].split()[1:]


def main(folder: str) -> None:
    """Print the medians and the imports."""
    for name, families in TIMED.items():
        taken = [seconds(*files(families), "--subject", folder) for _ in range(RUNS)]
        print(f"{name}_median_s {statistics.median(taken):.1f}", flush=True)
    imported = slow_imports(*files(TIMED["helix"]), "--subject", folder)
    print("helix_slow_imports", *(imported or ["none"]))


if __name__ == "__main__":
    main(sys.argv[1])
