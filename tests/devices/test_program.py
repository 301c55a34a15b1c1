"""What a program needs of memory is known before it runs, and compared with what there is."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.devices import host, parallel, program
from genjax.errors import UserError


def test_the_memory_of_a_program_by_hand():
    x = jax.ShapeDtypeStruct((512, 512), jnp.float32)
    one = 4 * 512 * 512

    def needed(function, **options):
        return program.needed(program.jit(function, **options).lower(x).compile())

    assert needed(lambda x: x @ x) == one  # the result
    assert needed(lambda x: (x @ x) @ (x @ x)) == 2 * one  # and what lies between
    with jax.debug_nans(False):  # which keeps arguments, to run a program again
        assert needed(lambda x: x + 1, donate_argnums=0) == 0  # in the place of the argument


def test_a_program_too_large_is_refused_before_it_runs(monkeypatch):
    monkeypatch.setattr(host, "free_memory", lambda: 1000.0)
    ran = program.jit(lambda x: x + 1)
    assert ran(jnp.zeros(8)).shape == (8,)
    refused = program.jit(lambda x: x + 1)
    with pytest.raises(UserError, match=r"needs 0\.0 GB of memory.*train\.batch_size"):
        refused(jnp.zeros(4000))


def test_it_waits_for_large_arguments_alone(monkeypatch):
    """So that what computes them has given its memory back before compiling takes more."""
    freed = []
    monkeypatch.setattr(host, "release_memory", lambda: freed.append(None))
    monkeypatch.setattr(program, "_LARGE", 4 * 10)
    for numbers, times in ((10, 1), (11, 2)):  # after compiling always, and before that
        freed.clear()
        program.jit(lambda x, scale: scale * x)(jnp.zeros(numbers), 2.0)
        assert len(freed) == times


def test_it_compiles_once():
    """JAX uses for the call what was compiled to be weighed."""
    compiled = []

    def listener(event, *_, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    x = jnp.zeros(3)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        program.jit(lambda x: 2 * x + 1)(x)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert len(compiled) == 1


def test_free_memory_follows_the_limit_of_the_process():
    free = host.free_memory()
    assert 0 < free < np.inf
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = 1024 * int(host._fields(host._lines("/proc/self/status"))["VmSize"].split()[0])
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, hard))
        assert host.free_memory() <= 1.1e8
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_devices_that_are_not_there(monkeypatch):
    def fail():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(UserError, match=r"no device can be used.*JAX_PLATFORMS=cuda"):
        parallel.require_devices()
