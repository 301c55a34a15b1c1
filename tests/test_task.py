"""What every family promises of its task."""

import jax
import pytest

from genjax import runs
from genjax.nn import backend
from tests.tiny import tiny


@pytest.mark.parametrize("name", ["dcgan", "vae-conv", "cnn"])
def test_what_runs_seldom_is_traced_with_native_operations(name):
    """The replacements have more operations; with them, evaluations took ten times to compile."""
    run = runs.build(tiny(name))
    state, batch, key = runs.step_shapes(run)
    calls = {
        run.task.init: (key, {}),
        run.task.evaluate: (state, batch, key),
        run.task.pictures: (state, batch, key),
    }
    for function, arguments in calls.items():
        if function:
            with backend.native():
                native = _operations(function, *arguments)
            assert _operations(function, *arguments) == native


def _operations(function, *arguments) -> int:
    # A function of its own, since JAX keeps what it has traced.
    return len(str(jax.make_jaxpr(lambda *a: function(*a))(*arguments)).splitlines())
