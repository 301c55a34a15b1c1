"""What every test runs under: rank promotion raises, and so does a NaN.

Both are set in the environment, so that processes which tests start have them too. Compiling is
nearly all of the tests' cost: there is a compilation cache for the session, since many tests run
the same tiny programs, and machine code is made without optimisations. Tests of what those might
break, that different programs give the same bits, run processes `as_shipped`.
"""

import functools
import os
import tempfile

UNOPTIMIZED = "--xla_backend_optimization_level=0"
_CACHE = tempfile.TemporaryDirectory(prefix="genjax-tests-", ignore_cleanup_errors=True)
os.environ.update(
    JAX_NUMPY_RANK_PROMOTION="raise",
    JAX_DEBUG_NANS="true",
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}".strip()

import jax  # noqa: E402  (it reads the environment when it is first imported)
import pytest  # noqa: E402
from etils import epath  # noqa: E402

from genjax.train import train  # noqa: E402
from tests.tiny import tiny  # noqa: E402


def pytest_configure(config):
    if jax.config.jax_numpy_rank_promotion != "raise" or not jax.config.jax_debug_nans:
        raise pytest.UsageError("JAX was imported before tests/conftest.py could set it up")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/ anew: only where a change of the numbers is intended",
    )


@pytest.fixture
def as_shipped(monkeypatch):
    """Processes that the test starts optimise their machine code, as users' do."""
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"].replace(UNOPTIMIZED, ""))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """`finished(name)`: the workdir of the tiny run `name`, trained to its end once a session.

    A test that writes into it takes a copy.
    """

    @functools.cache
    def run(name: str) -> epath.Path:
        workdir = epath.Path(tmp_path_factory.mktemp("finished") / name)
        train(tiny(name), workdir)
        return workdir

    return run
