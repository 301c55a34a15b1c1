"""Reports that are joined of parts, and the errors of who asks for one."""

import json

import pytest

from benchmarks import report
from tests.benchmarks.test_sections import _results, _row


@pytest.fixture
def write(tmp_path):
    def write(name: str, results: dict):
        (tmp_path / name).mkdir()
        (tmp_path / name / report.RESULTS_FILE).write_text(json.dumps(results))
        return str(tmp_path / name)

    return write


def test_parts_are_joined_by_name(write, tmp_path):
    whole = write("whole", _results(_row("a", ratio=1.3), _row("b", ratio=1.4)))
    part = write("part", _results(_row("b", ratio=1.5, date="later"), _row("c", ratio=1.6)))
    assert report.main(["report", whole, part]) == 0
    rows = report.read(tmp_path / "whole")["rows"]
    assert [(row["name"], row["ratio"]["median"]) for row in rows] == [
        ("a", 1.3),
        ("b", 1.5),
        ("c", 1.6),
    ]
    text = (tmp_path / "whole" / "report.md").read_text()
    assert "measured in pieces" in text and "b: commit 0123456789ab, later" in text


def test_parts_of_two_devices_are_not(write, capsys):
    other = _results()
    other["environment"]["cores"] = 4
    assert report.main(["report", write("whole", _results()), write("part", other)]) == 2
    assert capsys.readouterr().err == "error: the parts are of two devices: 2 and 4\n"


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 7}'])
def test_what_is_no_result_is_said_in_one_line(content, tmp_path, capsys):
    (tmp_path / report.RESULTS_FILE).write_text(content)
    assert report.main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is no benchmark result" in error


def test_no_result_at_all(tmp_path, capsys):
    assert report.main(["report", str(tmp_path / "none")]) == 2
    assert "does not exist: run python -m benchmarks --out=" in capsys.readouterr().err
    assert report.main(["report"]) == 2
