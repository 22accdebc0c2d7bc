"""Measurements written to a folder and read back."""

import json
from pathlib import Path

import pytest

from gpt2_helix.judging import records
from gpt2_helix.judging.errors import MissingInputError, SubjectError
from gpt2_helix.judging.records import RecordedSubject
from gpt2_helix.measure import averaging, helix
from support import helix_rows

WEIGHTS = {"wpe.weight": "0" * 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    W_pos = helix_rows()
    records.write(
        tmp_path,
        "averaging",
        WEIGHTS,
        {averaging.distance_from_curve: averaging.distance_from_curve(W_pos)},
        {"broken": {averaging.distance_from_curve: averaging.Distance({"average-5": 1.23456789})}},
    )
    return tmp_path


def test_what_is_read_is_what_was_written_to_six_digits(folder: Path) -> None:
    subject = RecordedSubject("gpt2", folder)
    live = averaging.distance_from_curve(helix_rows()).mean_distance
    read = subject.measure(averaging.distance_from_curve).mean_distance
    assert read == {k: pytest.approx(v, rel=1e-5) for k, v in live.items()}
    broken = subject.control("broken").measure(averaging.distance_from_curve)
    assert broken == averaging.Distance({"average-5": 1.23457})


def test_writing_the_same_again_changes_no_byte(folder: Path) -> None:
    path = folder / "averaging.json"
    content = json.loads(path.read_text())
    records.write_json(path, {**content, "date": "2001-01-01"})
    before = path.read_bytes()
    again = {averaging.distance_from_curve: averaging.distance_from_curve(helix_rows())}
    broken = {averaging.distance_from_curve: averaging.Distance({"average-5": 1.23457})}
    records.write(folder, "averaging", WEIGHTS, again, {"broken": broken})
    assert path.read_bytes() == before
    records.write(folder, "averaging", WEIGHTS, again, {})
    assert json.loads(path.read_text())["date"] != "2001-01-01"


def test_what_was_never_recorded_is_missing(folder: Path) -> None:
    with pytest.raises(MissingInputError, match=r"helix\.shape"):
        RecordedSubject("gpt2", folder).measure(helix.shape)


def test_no_record_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="expected recorded measurements, found none"):
        RecordedSubject("gpt2", tmp_path / "none")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_a_spoilt_record_is_an_error(folder: Path, text: str) -> None:
    (folder / "averaging.json").write_text(text)
    with pytest.raises(SubjectError, match="expected"):
        RecordedSubject("gpt2", folder)


def test_a_spoilt_number_is_an_error(folder: Path) -> None:
    path = folder / "averaging.json"
    content = json.loads(path.read_text())
    content["measured"]["distance_from_curve"]["mean_distance"]["average-10"] = "much"
    records.write_json(path, content)
    with pytest.raises(SubjectError, match="mean_distance"):
        RecordedSubject("gpt2", folder).measure(averaging.distance_from_curve)


def test_records_of_different_weights_do_not_mix(folder: Path) -> None:
    records.write(folder, "helix", {"wpe.weight": "1" * 64}, {}, {})
    with pytest.raises(SubjectError, match=r"expected wpe\.weight with sha256 0000"):
        RecordedSubject("gpt2", folder)


def test_numbers_that_are_none_are_not_recorded(tmp_path: Path) -> None:
    spoilt = {averaging.distance_from_curve: averaging.Distance({"average-5": float("nan")})}
    with pytest.raises(ValueError, match="finite"):
        records.write(tmp_path, "averaging", WEIGHTS, spoilt, {})
    assert not (tmp_path / "averaging.json").exists()


def test_a_record_in_which_nothing_was_measured_has_no_day(tmp_path: Path) -> None:
    records.write(tmp_path, "output", WEIGHTS, {}, {})
    empty = RecordedSubject("gpt2", tmp_path)
    assert empty.recorded_on is None
    with pytest.raises(MissingInputError, match=r"averaging\.distance_from_curve"):
        empty.measure(averaging.distance_from_curve)
