"""The engine run by pytest, as a user runs it, on a die."""

import json
from collections.abc import Callable
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
    for line in ("subject: fair", "mean 3.5 (<= 4)", "its control refuted", "1 confirmed, 0 ref"):
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
    assert out.index("what the author says") < out.index("REFUTED") < out.index("= claims =")
    assert "\ndie.mean: mean 5.833, must be <= 4\n" in out
    assert "FAILURES" not in out
    assert "\x1b" not in out
    assert "assert measured(" in run("--tb=short").stdout
    coloured = run("--color=yes", "-q").stdout
    assert "\x1b[31mREFUTED\x1b[0m" in coloured
    assert coloured.count("evidence: live") == 1
    ran = run("--expect", str(path))
    assert ran.returncode == 0, ran.stdout
    assert "1 xfailed" in ran.stdout
    assert f"as expected: all as in {path}" in ran.stdout
    for text, line in (
        (path.read_text().replace('"refuted"', '"confirmed"'), "confirmed as recorded, found ref"),
        ('{"claims": []}', "expected no verdict as recorded, found refuted"),
    ):
        path.write_text(text)
        ran = run("--expect", str(path))
        assert ran.returncode == 1
        assert line in ran.stdout
        assert "as expected" not in ran.stdout
    path.write_text("[]")
    ran = run("--expect", str(path))
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--expect: expected {path} as --claims-json writes it" in ran.stderr


BLOCKED = 'raise MissingInputError(["a table"], "the die")'


@pytest.mark.parametrize(
    ("old", "new", "options", "code", "said"),
    [
        ("assert measured(", f"{BLOCKED}; measured(", (), 0, "1 skipped"),
        ("assert measured(", f"{BLOCKED}; measured(", ("--strict",), 1, "blocked: the die"),
        ("assert measured(", 'raise InputError("a cat"); measured(', (), 4, "ERROR: die.mean: a"),
        ('statement="fair"', 'statement="weather"', (), 4, "expected a statement of fair, found"),
        ('"die.mean",\n    statement', '"mean",\n    statement', (), 2, "identifier like family.n"),
    ],
)
def test_what_gives_no_verdict_is_one_line(
    run: Claims, old: str, new: str, options: tuple[str, ...], code: int, said: str
) -> None:
    errors = "from gpt2_helix.judging.errors import MissingInputError, InputError\n"
    ran = run(*options, **{old: new, "import pytest\n": f"import pytest\n{errors}"})
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


def test_the_claims_of_a_folder_are_found(run: Claims, tmp_path: Path) -> None:
    run()
    ((path, _, claim),) = declared(tmp_path / "claims")
    assert (path.name, claim.id) == ("test_die.py", "die.mean")
