"""Measurements written to a folder and read back."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpt2_helix.judging import records
from gpt2_helix.judging.claim import Found
from gpt2_helix.judging.errors import InputError, MissingInputError, NothingToMeasureError
from gpt2_helix.judging.files import write_json
from gpt2_helix.judging.records import RecordedSubject

WEIGHTS = {"die": "0" * 64}


@dataclass(frozen=True)
class Rolled:
    mean: dict[str, float]


def rolled() -> Rolled:
    """A measurement; its family is the name of this module."""
    return Rolled({"red": 3.4999999, "blue": 1 / 3})


def never_rolled() -> Rolled:
    raise NotImplementedError


FAMILY = records.family(rolled)
BROKEN = Rolled({"red": 1.23456789})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records.write(tmp_path, FAMILY, WEIGHTS, {rolled: rolled()}, {"broken": {rolled: BROKEN}})
    return tmp_path


def test_what_is_read_is_what_was_written_to_six_digits(folder: Path) -> None:
    subject = RecordedSubject("die", folder)
    assert subject.evidence == "recorded"
    assert subject.measure(rolled) == Rolled({"red": 3.5, "blue": 0.333333})
    assert subject.control("broken").measure(rolled) == Rolled({"red": 1.23457})


def test_writing_the_same_again_changes_no_byte(folder: Path) -> None:
    path = folder / f"{FAMILY}.json"
    content = json.loads(path.read_text())
    assert list(content) == [
        "schema", "date", "digest", "weights", "parameters", "measured", "controls",
    ]  # fmt: skip
    write_json(path, {**content, "date": "2001-01-01"})
    before = path.read_bytes()
    records.write(folder, FAMILY, WEIGHTS, {rolled: rolled()}, {"broken": {rolled: BROKEN}})
    assert path.read_bytes() == before
    records.write(folder, FAMILY, WEIGHTS, {rolled: rolled()}, {})
    assert json.loads(path.read_text())["date"] != "2001-01-01"


def test_a_record_keeps_what_was_found_where_it_comes_from_and_how_it_was_made(
    tmp_path: Path,
) -> None:
    found = {"heavy_side": Found("weight", {"six": 0.5}, {"one": 0.1})}
    source = {"repository": "someone/dice", "commit": "0123456789"}
    more = {"found": found, "source": source, "parameters": {"rolls": 6}}
    path = records.write(tmp_path, FAMILY, {}, {rolled: rolled()}, {}, **more)  # type: ignore[arg-type]
    subject = RecordedSubject("die", tmp_path)
    assert subject.found == found
    assert (subject.evidence, subject.source) == ("published", "someone/dice@01234567")
    content = json.loads(path.read_text())
    assert content["found_heads"]["heavy_side"]["chosen"] == {"six": 0.5}
    assert content["parameters"] == {"rolls": 6}
    assert records.keep(tmp_path, FAMILY, {"rolls": 6}) == content["date"]
    with pytest.raises(InputError, match=r"expected a record made with \{'rolls': 7\}"):
        records.keep(tmp_path, FAMILY, {"rolls": 7})
    records.write(tmp_path, "other", {}, {rolled: rolled()}, {})
    with pytest.raises(InputError, match="expected records of one source, found None, someone"):
        RecordedSubject("die", tmp_path)


def test_nothing_to_measure_is_read_as_such(tmp_path: Path) -> None:
    records.write(tmp_path, FAMILY, {}, {rolled: NothingToMeasureError("no dice")}, {})
    with pytest.raises(NothingToMeasureError, match="no dice"):
        RecordedSubject("die", tmp_path).measure(rolled)


def test_what_was_never_recorded_is_missing(folder: Path) -> None:
    with pytest.raises(MissingInputError, match=rf"{FAMILY}\.never_rolled"):
        RecordedSubject("die", folder).measure(never_rolled)


def test_no_record_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected recorded measurements, found none"):
        RecordedSubject("die", tmp_path / "none")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 2}', "[" * 100_000])
def test_a_spoilt_record_is_an_error(folder: Path, text: str) -> None:
    (folder / f"{FAMILY}.json").write_text(text)
    with pytest.raises(InputError, match="expected"):
        RecordedSubject("die", folder)


@pytest.mark.parametrize("changed", [{"measured": []}, {"controls": None}, {"weights": ["die"]}])
def test_a_record_of_another_shape_is_an_error(folder: Path, changed: dict[str, object]) -> None:
    path = folder / f"{FAMILY}.json"
    content = {**json.loads(path.read_text()), **changed}
    write_json(path, {**content, "digest": records.digest_of(content)})
    with pytest.raises(
        InputError, match=f"expected a record of schema 2, found {next(iter(changed))}"
    ):
        RecordedSubject("die", folder)


def test_a_spoilt_number_is_an_error(folder: Path) -> None:
    path = folder / f"{FAMILY}.json"
    content = json.loads(path.read_text())
    content["measured"]["rolled"]["mean"]["red"] = "much"
    write_json(path, {**content, "digest": records.digest_of(content)})
    with pytest.raises(InputError, match=r"rolled\.mean\.red"):
        RecordedSubject("die", folder).measure(rolled)


def test_an_edited_record_is_an_error(folder: Path) -> None:
    path = folder / f"{FAMILY}.json"
    content = json.loads(path.read_text())
    content["controls"]["broken"]["rolled"]["mean"]["red"] = 0.9999
    write_json(path, content)
    with pytest.raises(InputError, match="it was changed after it was written"):
        RecordedSubject("die", folder)


def test_records_of_different_weights_do_not_mix(folder: Path) -> None:
    records.write(folder, "other", {"die": "1" * 64}, {}, {})
    with pytest.raises(InputError, match=r"expected die with sha256 1111"):
        RecordedSubject("die", folder)


def test_numbers_that_are_none_are_not_recorded(tmp_path: Path) -> None:
    spoilt = {rolled: Rolled({"red": float("nan")})}
    with pytest.raises(ValueError, match="finite"):
        records.write(tmp_path, FAMILY, WEIGHTS, spoilt, {})
    assert not (tmp_path / f"{FAMILY}.json").exists()


def test_a_record_in_which_nothing_was_measured_has_no_day(tmp_path: Path) -> None:
    records.write(tmp_path, "other", WEIGHTS, {}, {})
    empty = RecordedSubject("die", tmp_path)
    assert empty.recorded_on is None
    with pytest.raises(MissingInputError, match=rf"{FAMILY}\.rolled"):
        empty.measure(rolled)
