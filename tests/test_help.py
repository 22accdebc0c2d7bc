"""``gpt2-helix --help``: what a user reads first."""

import re
import shlex

import pytest

from gpt2_helix import cli


def test_the_help_lists_the_commands_of_the_pipeline_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli.parser().format_help()
    people, _, pipeline_alone = said.partition("commands of the repository's own pipeline")
    listed = re.compile(r"^    (\w+)  ", re.MULTILINE)
    assert listed.findall(people) == ["judge", "show", "survey"]
    assert listed.findall(pipeline_alone) == ["record", "publish"]
    assert max(map(len, said.splitlines())) < 80


@pytest.mark.parametrize("command", ["judge", "show", "survey", "record", "publish"])
def test_each_command_says_what_it_does_with_an_example_that_works(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parser = cli.parser()
    with pytest.raises(SystemExit):
        parser.parse_args([command, "--help"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) < 80
    usual, _, example = said.strip().rpartition("\n\n")
    assert example.startswith(f"example: gpt2-helix {command} ")
    assert parser.parse_args(shlex.split(example)[2:]).run
    for option in usual.partition("show this help message and exit")[2].split("\n  -")[1:]:
        assert "(default: " in " ".join(option.split())


def test_the_command_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"gpt2-helix \d+\.\d+\.\d+\n", capsys.readouterr().out)
