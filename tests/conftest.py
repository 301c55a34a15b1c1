"""What every test runs under: rank promotion raises, and so does a NaN.

Both are set in the environment, so that processes which tests start have them too. Compiling is
nearly all of the tests' cost, so compiled programs are kept, within a session and for the next one,
and machine code is made without optimisations. Tests of what that might break, that different
programs give the same bits, run processes `as_shipped`.
"""

import gc
import importlib.metadata
import json
import os
import re
import signal

UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if importlib.metadata.version("jaxlib").startswith("0.10."):  # newer ones end at this flag
    UNOPTIMIZED += " --xla_cpu_use_fusion_emitters=false"  # which take half of the time to compile
os.environ.update(
    JAX_NUMPY_RANK_PROMOTION="raise",
    JAX_DEBUG_NANS="true",
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
)
if UNOPTIMIZED not in os.environ.get("XLA_FLAGS", ""):  # pytest-xdist's processes inherit it
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}".strip()

import jax  # noqa: E402  (it reads the environment when it is first imported)
import pytest  # noqa: E402
from etils import epath  # noqa: E402

from genjax.devices import cache  # noqa: E402
from genjax.report import page  # noqa: E402
from genjax.train import train  # noqa: E402
from tests import reading, rounding  # noqa: E402
from tests.once import once, session_folder  # noqa: E402
from tests.tiny import tiny, without_curves  # noqa: E402

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    programs = str(cache.prepare(cache.place().parent / "tests"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
    jax.config.update("jax_compilation_cache_dir", programs)


# A process in the background of a script ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tracing makes many objects that live long; looking for cycles among them takes its time.
gc.freeze()
gc.set_threshold(50_000, 20, 50)


def pytest_configure(config):
    if jax.config.jax_numpy_rank_promotion != "raise" or not jax.config.jax_debug_nans:
        raise pytest.UsageError("JAX was imported before tests/conftest.py could set it up")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/ anew: only where a change of the numbers is intended",
    )
    parser.addoption(
        "--part",
        metavar="K/N",
        help="of the selected tests of each file, every N-th from number K on (0 <= K < N)",
    )


@pytest.hookimpl(trylast=True)  # once -m and -k have selected
def pytest_collection_modifyitems(config, items):
    if not (part := config.getoption("--part")):
        return
    if not (match := re.fullmatch(r"(\d+)/(\d+)", part)) or int(match[1]) >= int(match[2]):
        raise pytest.UsageError(f"--part={part} is not K/N with K < N")
    k, n = int(match[1]), int(match[2])
    seen, kept, others = {}, [], []
    for item in items:
        seen[item.path] = seen.get(item.path, -1) + 1
        (kept if seen[item.path] % n == k else others).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=others)


@pytest.fixture(autouse=True)
def plain_pages(request, monkeypatch):
    """Curves are drawn where they are looked at."""
    if not request.module.__name__.endswith("report.test_page"):
        monkeypatch.setattr(page, "_svg", page._svg)  # back at the end
        without_curves()


@pytest.fixture(autouse=True, scope="module")
def no_memory_of_programs():
    """Tests do not share programs in memory; the traces of hundreds take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture
def as_shipped(monkeypatch):
    """Processes that the test starts optimise their machine code, as users' do."""
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"].replace(UNOPTIMIZED, ""))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """`shared(name, make)`: a folder that `make(folder)` has filled, once a session."""
    return lambda name, make: once(session_folder(tmp_path_factory) / name, make)


@pytest.fixture(scope="session")
def finished(shared):
    """`finished(name, **overrides)`: the workdir of a tiny run, trained to its end once a session.

    A test that writes into it takes a copy.
    """

    def make(folder, config):
        with reading.recorded() as found:
            train(config, epath.Path(folder) / "run")
        (folder / "unread.json").write_text(json.dumps(list(reading.unread(config, found))))

    def run(name: str, **overrides) -> epath.Path:
        config = tiny(name, **overrides)
        folder = shared(_slug("finished", name, overrides), lambda folder: make(folder, config))
        return epath.Path(folder) / "run"

    return run


@pytest.fixture(scope="session")
def bound(shared):
    """`bound(name, **overrides)`: by how much another way to compute a tiny run may differ."""

    def measured(name: str, **overrides) -> rounding.Bound:
        config = tiny(name, **overrides)

        def make(folder):
            (folder / "bound.json").write_text(json.dumps(rounding.bound(config)._asdict()))

        folder = shared(_slug("bound", name, overrides), make)
        return rounding.Bound(**json.loads((folder / "bound.json").read_text()))

    return measured


def _slug(kind: str, name: str, overrides: dict) -> str:
    more = "-".join(f"{key}-{value}" for key, value in sorted(overrides.items()))
    return re.sub(r"[^\w.-]+", "_", f"{kind}-{name}-{more}".rstrip("-"))
