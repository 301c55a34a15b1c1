"""The table of workloads: real configs, and lists that people can choose from."""

import pytest

from benchmarks import scaling, workloads
from benchmarks.workloads import BY_NAME, TABLE
from genjax import command
from genjax import config as config_lib
from genjax.errors import UserError


@pytest.mark.parametrize("workload", TABLE, ids=lambda workload: workload.name)
def test_every_workload_is_a_command(workload, monkeypatch):
    from tests.tiny import ROOT

    monkeypatch.chdir(ROOT)
    for setting in (*workload.settings("cpu"), *workload.settings("gpu")):
        file, options = workloads.arguments(workload, setting)
        if file is None:
            assert command.parse(["main.py", *options]).mode == workload.peer
            continue
        config = config_lib.read(file, options)
        assert config.task == workload.peer
        assert config.precision == setting.precision
        assert setting.batch is None or config.train.batch_size == setting.batch
        config_lib.check(config)
    if workload.parity is not None:
        config_lib.read(*workloads.arguments(workload))


def test_a_gpu_has_the_papers_batch_and_a_large_one_in_both_precisions():
    assert BY_NAME["dcgan-32"].settings("gpu") == [
        *((128, "float32", 1.5), (128, "bfloat16", 1.5)),
        *((1024, "float32", 1.0), (1024, "bfloat16", 1.0)),
    ]
    assert BY_NAME["dcgan-32"].settings("cpu") == [(64, "float32", 1.2)]
    assert BY_NAME["style-adam-1024"].settings("cpu") == []


def test_names_tell_workloads_and_rows_apart():
    assert len(BY_NAME) == len(TABLE)
    names = [workloads.row_name(w, s) for w in TABLE for s in w.settings("gpu")]
    assert len(set(names)) == len(names)


def test_every_network_that_is_timed_is_compared():
    """A training workload has a parity check, itself or through one of its family and optimiser."""

    def network(workload):
        config, arguments = workloads.arguments(workload, workload.settings("gpu")[0])
        file_and_first_key = config.partition(",")[0].partition("=")[0]
        return file_and_first_key, config_lib.overrides(arguments).get("optimizer.name")

    compared = {network(w) for w in TABLE if w.parity is not None}
    assert {network(w) for w in TABLE if w.kind == "train"} <= compared


def test_suites():
    assert {w.name for w in workloads.select("quick", "")} < {
        w.name for w in workloads.select("full", "")
    }
    assert [w.name for w in workloads.select("quick", "cnn, dcgan-64")] == ["dcgan-64", "cnn"]
    assert {w.kind for w in workloads.select("quick", "")} == set(workloads.KINDS)
    assert all(s.workload in BY_NAME for series in scaling.SERIES.values() for s in series)


@pytest.mark.parametrize(
    "suite, only, expected",
    [
        ("quikc", "", "--suite=quikc is none of quick, full, smoke; did you mean 'quick'?"),
        ("quick", "dcgan32", "--only=dcgan32 is no workload; did you mean 'dcgan-32'?"),
    ],
)
def test_what_is_unknown_is_answered_with_the_nearest(suite, only, expected):
    with pytest.raises(UserError) as caught:
        workloads.select(suite, only)
    assert str(caught.value).startswith(expected)
