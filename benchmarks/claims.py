"""Wall time of ``pytest claims/``: most claims, those on attention alone, and ``-k helix``.

``python benchmarks/claims.py FOLDER`` prints the median of five runs of each, in seconds, and
which of the slow imports the last one made.
"""

import statistics
import subprocess
import sys
import time

RUNS = 5
ATTENTION_ALONE = "attention_only or extended"
SLOW_IMPORTS = ("torch", "transformers", "transformer_lens")


def seconds(*arguments: str) -> float:
    """Wall time of one run, which must confirm every claim."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "claims/", "-q", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def slow_imports(*arguments: str) -> list[str]:
    """Which slow packages a run imports."""
    code = (
        "import sys, pytest; code = pytest.main(sys.argv[1:]); "
        f"print('imported', *(m for m in {SLOW_IMPORTS} if m in sys.modules)); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "claims/", "-q", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()[-1].split()[1:]


def main(folder: str) -> None:
    """Print the medians and the imports."""
    for name, selection in (
        (
            "pa_claims",
            ("-k", f"not output and not repetition and not heads and not ({ATTENTION_ALONE})"),
        ),
        ("attention_alone", ("-k", ATTENTION_ALONE)),
        ("helix", ("-k", "helix")),
    ):
        taken = [seconds("--subject", folder, *selection) for _ in range(RUNS)]
        print(f"{name}_median_s {statistics.median(taken):.1f}")
    print("helix_slow_imports", slow_imports("--subject", folder, "-k", "helix") or "none")


if __name__ == "__main__":
    main(sys.argv[1])
