"""The engine run by pytest, as a user runs it, on a die."""

import errno
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gpt2_helix.judging.collect import declared
from judging import dice
from judging.running import Run, run_pytest

Claims = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path) -> Claims:
    """Run the claims of the die in a folder of their own, with some of its text replaced."""

    def run(*options: str, suite: str = "judging.dice", **replaced: str) -> Run:
        text = Path(dice.__file__).read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "claims").mkdir(exist_ok=True)
        (tmp_path / "claims/test_die.py").write_text(text)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        plugins = ["-p", "gpt2_helix.judging.plugin", *(("-p", suite) if suite else ())]
        return run_pytest(tmp_path, *plugins, "--import-mode=importlib", "claims", *options)

    return run


def test_a_fair_die_is_confirmed_and_its_verdict_written(run: Claims, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    ran = run("--claims-json", str(path), "--report", str(tmp_path / "page"))
    assert ran.returncode == 0, ran.stdout
    for line in ("subject: fair", "The die is fair. Its mean is 3.5.", "claims: 1 confirmed"):
        assert line in ran.stdout
    (claim,) = json.loads(path.read_text())["claims"]
    found = claim["id"], claim["verdict"], claim["measured"]
    assert found == ("die.mean", "confirmed", {"mean": 3.5})
    assert "die.mean" in (tmp_path / "page/index.html").read_text()
    by_workers = run("-n", "1", "--claims-json", str(path))
    assert by_workers.stdout.count("subject: fair") == 1
    assert json.loads(path.read_text())["claims"] == [claim]


def test_a_loaded_die_is_refuted_in_one_line_or_as_expected(
    run: Claims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dice.ROLLS, "fair", dice.ROLLS["loaded"])
    path = tmp_path / "out.json"
    ran = run("--claims-json", str(path))
    out = ran.stdout
    assert ran.returncode == 1
    assert out.index("evidence: live") < out.index("REFUTED")
    # The statement has said so; what shows no statements says which claim.
    assert "die.mean: mean 5.833," not in out
    assert "\ndie.mean: mean 5.833," in run("-q").stdout
    assert "die.mean  mean 5.833 (<= 4)" in run("-v").stdout
    assert "FAILURES" not in out
    assert "\x1b" not in out
    assert "assert measured(" in run("--tb=short").stdout
    coloured = run("--color=yes").stdout
    assert "\x1b[31mREFUTED\x1b[0m" in coloured
    assert coloured.count("evidence: live") == 1
    ran = run("--expect", str(path))
    assert ran.returncode == 0, ran.stdout
    assert f"as expected: all as in {path}" in ran.stdout
    path.write_text("[]")
    ran = run("--expect", str(path))
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--expect: {path}: expected verdicts as --claims-json writes them" in ran.stderr


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"refuted"', '"blocked"', "expected blocked as recorded, found refuted (mean 5.833"),
        ('"die.mean"', '"die.other"', "expected no verdict as recorded, found refuted"),
        ('"<= 4"', '"<= 4.5"', "expected tolerance {'mean': '<= 4.5'} as recorded, found"),
        ('"before"', '"after"', "expected set {'mean': 'after'} as recorded, found"),
        ("[6, ", "[1, ", "expected verdicts on fair, found fair: another rolls"),
        ('"rolls": ', '"faces": ', "found fair: no file or tensor in common"),
    ],
)
def test_what_is_not_as_expected_is_a_failure(
    run: Claims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, line: str
) -> None:
    monkeypatch.setitem(dice.ROLLS, "fair", dice.ROLLS["loaded"])
    path = tmp_path / "out.json"
    run("--claims-json", str(path))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    ran = run("--expect", str(path))
    assert ran.returncode == 1
    assert line in " ".join(ran.stdout.split())
    assert "as expected" not in ran.stdout


def test_numbers_that_are_apart_are_told_and_so_are_claims_that_did_not_run(
    run: Claims, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    run("--claims-json", str(path))
    written = json.loads(path.read_text())
    written["claims"][0]["measured"]["mean"] = 3.4
    path.write_text(json.dumps(written))
    ran = run("--expect", str(path))
    assert ran.returncode == 0
    assert "numbers more than 1% apart: 1\n  die.mean mean: 3.5, recorded 3.4" in ran.stdout
    written["claims"].append({**written["claims"][0], "id": "die.other"})
    path.write_text(json.dumps(written))
    out = run("--expect", str(path)).stdout
    assert f"as expected, as far as it ran: 1 of 2 claims of {path}" in out


def test_a_claim_that_ends_in_an_error_is_listed_and_fails_the_run(
    run: Claims, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    crash = {"assert measured(": "{}['average-10']; measured("}
    ran = run("--claims-json", str(path), **crash)
    assert ran.returncode == 1
    assert "die.mean: KeyError: 'average-10'" in ran.stdout
    written = json.loads(path.read_text())
    assert written["claims"][0]["verdict"] == "error"
    assert written["statements"][0]["verdict"] == "not judged"
    again = run("--expect", str(path), **crash)
    assert (again.returncode, "as expected" in again.stdout) == (1, False)


NOTHING = 'raise NothingToMeasureError("all alike")'
BLOCKED = 'raise MissingInputError(["a table"], "the die")'


@pytest.mark.parametrize(
    ("old", "new", "options", "code", "said"),
    [
        ("assert measured(", f"{BLOCKED}; measured(", (), 0, "1 blocked"),
        (
            "assert measured(",
            f"{BLOCKED}; measured(",
            ("--strict",),
            1,
            "blocked: die.mean: the die",
        ),
        ("assert measured(", f"{NOTHING}; measured(", ("--strict",), 0, "n/a: die.mean: all alike"),
        ('["loaded"]', '["fair"]', (), 0, "undecided: die.mean: no control counts"),
        ('["loaded"]', '["fair"]', ("--strict",), 1, "undecided: die.mean: no control counts"),
        ("assert measured(", 'raise InputError("a cat"); measured(', (), 4, "ERROR: die.mean: a"),
        ('statement="fair"', 'statement="weather"', (), 4, "expected a statement of fair, found"),
        ('"die.mean",\n    statement', '"mean",\n    statement', (), 2, "identifier like family.n"),
    ],
)
def test_what_gives_no_verdict_is_one_line(
    run: Claims, old: str, new: str, options: tuple[str, ...], code: int, said: str
) -> None:
    errors = "from gpt2_helix.judging.errors import MissingInputError, InputError\n"
    errors += "from gpt2_helix.judging.errors import NothingToMeasureError\n"
    ran = run("-rs", *options, **{old: new, "import pytest\n": f"import pytest\n{errors}"})
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert said in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_two_claims_with_one_identifier_are_refused(run: Claims, tmp_path: Path) -> None:
    run()
    (tmp_path / "claims/test_copy.py").write_text(Path(dice.__file__).read_text())
    ran = run()
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected one claim for each identifier, found two die.mean" in ran.stdout + ran.stderr


def test_without_a_suite_nothing_is_judged(run: Claims) -> None:
    ran = run(suite="")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected a plugin that says what is judged, found none" in ran.stderr


def test_a_report_that_cannot_be_written_is_refused_before_claims_are_judged(
    run: Claims, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("something")
    for option, path in (
        ("--claims-json", tmp_path / "none/out.json"),
        ("--claims-json", tmp_path),
        ("--report", file),
        ("--report", file / "page"),
    ):
        ran = run(option, str(path), "-q")
        (line,) = (ran.stdout + ran.stderr).strip().splitlines()
        assert ran.returncode == pytest.ExitCode.USAGE_ERROR
        assert line.startswith(f"ERROR: {option}: expected a f")


@pytest.mark.parametrize("option", ["--claims-json", "--report", "--expect"])
@pytest.mark.parametrize("path", ["", "x" * 300])
def test_what_can_be_no_path_is_refused_before_claims_are_judged(
    run: Claims, option: str, path: str
) -> None:
    ran = run(option, path)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"argument {option}: expected a name or a path, found '{path[:70]}" in ran.stderr
    assert "claims: " not in ran.stdout


def test_a_page_that_cannot_be_made_is_one_line_and_exit_code_4(run: Claims) -> None:
    ran = run("--report", "/proc/none/page")  # Which says that it can be written to.
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    said = ran.stdout + ran.stderr
    assert said.count("/proc/none") == 1
    assert "Traceback" not in said


def test_a_report_that_fails_to_be_written_is_one_line_and_exit_code_4(
    run: Claims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    ran = run("--claims-json", str(tmp_path / "out.json"))
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "claims: 1 confirmed" in ran.stdout
    assert ran.stdout.count("out.json: expected to write a file, found No space left") == 1
    assert not list(tmp_path.glob("*out.json*"))


def test_the_claims_of_a_folder_are_found(run: Claims, tmp_path: Path) -> None:
    run()
    ((path, _, claim),) = declared(tmp_path / "claims")
    assert (path.name, claim.id) == ("test_die.py", "die.mean")


def test_an_interrupted_run_reports_what_was_judged(run: Claims, tmp_path: Path) -> None:
    run()
    stop = "def test_stop():\n    raise KeyboardInterrupt\n"
    (tmp_path / "claims/test_later.py").write_text(stop)
    path = tmp_path / "out.json"
    ran = run("--claims-json", str(path))
    assert ran.returncode == pytest.ExitCode.INTERRUPTED
    assert "claims: 1 confirmed" in ran.stdout
    assert [claim["id"] for claim in json.loads(path.read_text())["claims"]] == ["die.mean"]


def test_on_a_terminal_a_line_says_what_is_judged(run: Claims, tmp_path: Path) -> None:
    assert "claim 1 of 1" not in run().stdout
    plugins = ("-p", "gpt2_helix.judging.plugin", "-p", "judging.dice")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *plugins, "--import-mode=importlib", "claims"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Linux ends what a terminal shows with an error, once nobody writes to it.
    with suppress(OSError):
        while part := os.read(ours, 2**16):
            shown += part
    assert process.wait() == 0, shown.decode()
    assert b"claim 1 of 1: die.mean" in shown
