"""Where time goes: hand-worked schedules, and what a profiled run leaves behind."""

import re

import pytest
from etils import epath

from genjax import train
from genjax.errors import UserError
from genjax.speed import Profile
from genjax.speed.profile import Op, durations, sources, table
from tests.tiny import metrics_of, tiny


def test_operations_one_after_the_other():
    assert durations([Op("a", 0, 5, 5), Op("b", 7, 8, 8), Op("a", 9, 10, 10)]) == {"a": 6, "b": 1}


def test_an_operation_that_goes_on_after_its_call():
    """The time until it is done is its own, but for what is called meanwhile."""
    assert durations([Op("dot", 0, 1, 10), Op("add", 4, 6, 6)]) == {"dot": 8, "add": 2}


def test_operations_at_the_same_time_share_it():
    assert durations([Op("a", 0, 4, 4), Op("b", 2, 6, 6)]) == {"a": 3, "b": 3}
    assert durations([Op("a", 0, 0, 4), Op("b", 2, 2, 6)]) == {"a": 3, "b": 3}


def test_table():
    ops = [Op(f"op.{i}", at, at + i * 1e6, at + i * 1e6) for i in range(1, 13) for at in (i * 1e8,)]
    lines = table(ops, 2, {"op.12": "Dense_0/dot_general"}).splitlines()
    assert lines[0].split() == ["ms/step", "share", "calls", "op", "from"]
    assert lines[1].split() == ["6.000", "15.4%", "0.5", "op.12", "Dense_0/dot_general"]
    assert len(lines) == 1 + 10 + 2
    assert lines[-2].split() == ["1.500", "3.8%", "1", "2", "others"]
    assert lines[-1].split() == ["39.000", "100.0%", "6", "all"]


def test_table_of_nothing():
    assert table([], 3, {}).splitlines()[-1].split() == ["0.000", "0.0%", "0", "all"]


def test_where_operations_come_from():
    program = """
    %add.1 = f32[2]{0} add(%a, %b), metadata={op_name="jit(_loop)/while/body/jvp(G)/add" id=1}
    ROOT %fused-op = f32[] fusion(%x), metadata={op_name="jit(_loop)/while/body/closed_call/mul"}
    %nameless = f32[] add(%a, %b)
    """
    assert sources(program) == {"add.1": "jvp(G)/add", "fused-op": "mul"}


@pytest.mark.parametrize("steps", [(5,), (5, 2), (3, 13), (1, 2, 3), (1.5, 2), ("a", "b")])
def test_steps_that_are_none(steps):
    with pytest.raises(UserError, match=r"has to be \(first, last\), of the run's steps 1 to 12"):
        Profile(steps, 0, 12, "nowhere", print)


def test_a_resumed_run_that_is_past_its_steps_says_so():
    said = []
    profile = Profile((3, 7), 5, 12, "nowhere", said.append)
    assert said == ["profile.steps=(3, 7) begins before step 6: nothing is traced"]
    assert not profile.bounds
    profile.begin(2)
    profile.close()
    assert len(said) == 1


def test_a_profiled_run(tmp_path, finished, capfd):
    """The same numbers; a trace, and a table that adds up."""
    workdir = epath.Path(tmp_path)
    train.train(tiny("vae", **{"profile.steps": (4, 7)}), workdir)
    assert metrics_of(workdir) == metrics_of(finished("vae"))
    text = (workdir / "profile" / "ops.txt").read_text()
    assert text in capfd.readouterr().err
    assert len(list(tmp_path.glob("profile/**/*.xplane.pb"))) == 1
    clock = float(re.match(r"steps 4 to 7: (\S+) ms a step", text)[1])
    *rows, everything = (line.split() for line in text.splitlines()[2:])
    assert len(rows) == 11 and "others" in rows[-1]
    assert 0 < float(everything[0]) <= clock
    assert sum(float(row[0]) for row in rows) == pytest.approx(float(everything[0]), abs=0.01)
    assert any("/" in row[-1] for row in rows)  # functions of the program, as its text names them


def test_a_run_that_ends_within_writes_none(tmp_path):
    said = []
    profile = Profile((1, 7), 0, 12, epath.Path(tmp_path), said.append)
    profile.begin(0)
    profile.close()
    assert said == ["the run ended before step 7: no profile was written"]
    assert not list(tmp_path.iterdir())
