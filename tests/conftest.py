"""What every test runs under: rank promotion raises, and so does a NaN.

Both are set in the environment, so that processes which tests start have them too. So is a
compilation cache for the session: many tests run the same tiny programs, and compiling is nearly
all of their cost.
"""

import functools
import os
import tempfile

_CACHE = tempfile.TemporaryDirectory(prefix="genjax-tests-", ignore_cleanup_errors=True)
os.environ.update(
    JAX_NUMPY_RANK_PROMOTION="raise",
    JAX_DEBUG_NANS="true",
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)

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
