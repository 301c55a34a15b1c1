"""What a report says of the machine, and what it keeps to itself."""

import pytest

from benchmarks import machine


@pytest.mark.parametrize("place", [["--out=/home/me/runs"], ["--out", "/home/me/runs"]])
def test_the_command_names_no_place_on_the_machine(monkeypatch, place):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--suite=full", *place, "--only=cnn"])
    device = {"platform": "cpu", "kind": "cpu", "count": 1}
    assert machine.describe(device)["command"] == "python -m benchmarks --suite=full --only=cnn"
