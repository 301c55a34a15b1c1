"""How sides are timed, with processes that only pretend: turns, warm-ups, failures, memory."""

import pytest

from benchmarks import children, suite
from benchmarks.children import SideError
from benchmarks.workloads import BY_NAME

# Seconds a step of each side, and what fails.
SPEED = {"genjax": 0.1, "eager": 0.2, "compile": 0.15}


class Pretended:
    """A child whose steps take what `SPEED` says; it notes in `asked` what it was asked for."""

    asked: list = []  # noqa: RUF012  (emptied for each test)
    fails: dict = {}  # noqa: RUF012

    def __init__(self, variables):
        self.started, self._side = 0.0, None

    def close(self):
        pass

    def ask(self, do, **arguments):
        if do == "open":
            self._side = arguments.get("variant", "genjax")
            if self.fails.get(self._side) == "open":
                raise SideError("no C++ compiler")
            step = SPEED[self._side]
            return {"images_per_step": 10, "compile_seconds": 1.0, "step_seconds": step}
        if do == "run":
            steps = arguments["steps"]
            self.asked.append((self._side, steps))
            if self.fails.get(self._side) == len([s for s, _ in self.asked if s == self._side]):
                raise SideError("out of memory")
            return steps, steps * SPEED[self._side]
        if do == "tell":
            return {"model": {"flop": 5e9, "devices": 1}}[arguments["what"]]
        return {"peak_memory_bytes": 10**9}[do]


@pytest.fixture
def measure(monkeypatch):
    """`measure(workload)`: its row on a CPU with the full suite's care, but three rounds."""
    monkeypatch.setattr(children, "Child", Pretended)
    monkeypatch.setattr(Pretended, "asked", [])
    monkeypatch.setattr(Pretended, "fails", {})
    monkeypatch.setattr(suite, "_peer_variants", lambda place, precision: ["eager", "compile"])

    def run(name: str, **care) -> dict:
        chosen = suite.CARE["full"]._replace(**{"rounds": 3, "seconds": 1.0} | care)
        plan = suite.Plan(chosen, "cpu", "torch", {"float32": 1e11})
        workload = BY_NAME[name]
        return suite.measure(plan, workload, workload.settings("cpu")[0])

    return run


def test_sides_take_turns(measure):
    row = measure("cnn")
    rounds = [("genjax", 10), ("eager", 5), ("compile", 7)]
    assert Pretended.asked[-9:] == rounds * 3
    assert row["fastest"] == "compile"
    assert row["ratio"]["median"] == pytest.approx(1.5)
    assert row["sides"]["genjax"]["rate"]["median"] == pytest.approx(100)  # images a second
    assert row["sides"]["genjax"]["mfu"] == pytest.approx(0.5)  # 5 GFLOP, 10 a second, of 100


def test_where_steps_differ_all_sides_do_the_same_ones(measure):
    measure("style-lbfgs-256")
    assert Pretended.asked[-9:] == [("genjax", 10), ("eager", 10), ("compile", 10)] * 3
    warm = {name: 2 for name in SPEED}
    for name, steps in Pretended.asked[:-9]:
        warm[name] += steps
    assert len(set(warm.values())) == 1, warm


def test_long_steps_have_fewer_rounds(measure):
    row = measure("cnn", rounds=9, seconds=4.0, most_seconds=21.0)  # one is 27 steps of 0.15 s
    assert {len(side["rounds"]) for side in row["sides"].values()} == {5}
    assert len(measure("cnn", rounds=9, seconds=40.0)["sides"]["eager"]["rounds"]) == 3


def test_what_fails_is_said_and_the_others_go_on(measure):
    Pretended.fails.update(compile="open", eager=3)
    row = measure("cnn")
    assert row["sides"]["compile"] == {"error": "no C++ compiler"}
    assert row["sides"]["eager"] == {"error": "out of memory"}
    assert len(row["sides"]["genjax"]["rounds"]) == 3
    assert (row["fastest"], row["ratio"]) == (None, None)
