"""The structure that docs/architecture.md promises, held against the code."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "genjax").rglob("*.py"))

# From the ground up. A module imports from lower floors and, without a circle, from its own.
FLOORS = [
    {"errors", "files", "threefry", ""},
    {
        "colour",
        "command",
        "config",
        "decoding",
        "dicom",
        "gan_keys",
        "vae_keys",
        "images",
        "ranges",
        "rng",
        "sample_keys",
        "score_keys",
        "style_keys",
        "stylize_keys",
        "windows",
    },
    {"data", "devices", "report", "video"},
    {"latents", "mixtures", "nn", "stylization", "task", "versions", "workdir"},
    {"cnn"},
    {"metrics"},
    {"gan", "vae", "style"},
    {"aggregate", "runs"},
    {"explore", "following", "speed", "steps", "scores"},
    {"train", "evaluate", "sample", "stylize", "score", "compare", "stage"},
]
FAMILIES = {"gan", "vae", "cnn", "style"}
# VQ-GAN has a GAN's discriminator and its loss.
ACROSS = {("vae", "genjax.gan.losses"), ("vae", "genjax.gan.patch")}
NETWORK = re.compile(r"^class \w+\(nn\.Module\)", re.MULTILINE)
LEVELS = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in FILES}


@functools.cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def _imports(path: Path) -> set[str]:
    """The modules of genjax that a file imports."""
    found = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    for imported in _imports(MODULES[module]):
        assert LEVELS[_room(imported)] <= LEVELS[_room(module)], imported
        families = {_room(module), _room(imported)} & FAMILIES
        allowed = families == {"style", "cnn"} or (_room(module), imported) in ACROSS
        assert len(families) < 2 or allowed, imported


def test_no_circles():
    graph, done = {m: _imports(p) - {m} for m, p in MODULES.items()}, set()
    while ready := {m for m in graph.keys() - done if graph[m] <= done}:
        done |= ready
    # A package that offers its modules' names, as genjax.data does, is no circle if they are none.
    left = {m: graph[m] - done for m in graph.keys() - done}
    assert not left, left


def test_nothing_below_the_networks_knows_linen():
    """Outside `nn/` and the families, nobody knows that the networks are Linen."""
    for module, path in MODULES.items():
        if _room(module) not in FAMILIES | {"nn"}:
            assert "flax.linen" not in path.read_text(), module


def test_only_two_modules_know_the_devices():
    for module, path in MODULES.items():
        if module not in ("genjax.devices.parallel", "genjax.devices.shared"):
            assert not re.search(
                r"jax\.(shard_map|pmap|make_mesh|devices\(|local_devices)|NamedSharding",
                path.read_text(),
            ), module


def test_programs_are_read_without_the_accessor_that_jax_will_delete():
    """`.jaxpr` of a traced program; since JAX 0.12 it is the program itself."""
    for path in [*FILES, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        text = path.read_text()
        nodes = _nodes(path) if ".jaxpr" in text else []  # to parse all files takes seconds
        assert not [
            x.lineno for x in nodes if isinstance(x, ast.Attribute) and x.attr == "jaxpr"
        ], path


def test_files_are_short():
    others = [path for room in ("benchmarks", "tests") for path in (ROOT / room).rglob("*.py")]
    for path in [*FILES, *others]:
        assert len(path.read_text().splitlines()) <= 400, path
    assert len((ROOT / "main.py").read_text().splitlines()) <= 70


def test_gan_configs_have_one_order_of_keys():
    """So that they can be compared line by line; beside them, an option that a config is about."""
    orders = {}
    for path in sorted((ROOT / "configs").glob("*.py")):
        text = path.read_text()
        if 'base("gan")' in text:
            orders[path.name] = re.findall(r"^    config\.([\w.]+) = ", text, re.MULTILINE)
    first = orders["dcgan.py"]
    of_all = {name: [key for key in order if key in first] for name, order in orders.items()}
    assert len(orders) > 3 and all(order == first for order in of_all.values()), orders


def test_no_six_lines_stand_twice():
    """But for configs and networks, whose first draft is an honest copy of the nearest one."""
    seen = {}
    for path in [*FILES, ROOT / "main.py"]:
        if _room(_module(path)) in FAMILIES and NETWORK.search(path.read_text()):
            continue
        lines = [line.strip() for line in path.read_text().splitlines()]
        # Imports are not repetition, and lone punctuation is not logic.
        lines = [x for x in lines if len(x) > 4 and not re.match("#|import |from ", x)]
        for start in range(len(lines) - 5):
            block = "\n".join(lines[start : start + 6])
            assert block not in seen, f"{path} and {seen[block]}:\n{block}"
            seen[block] = path


def test_every_test_file_mirrors_a_module():
    """So that a reader of a module knows where its tests are."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.parent != ROOT / "tests":
            rooms = (ROOT / "genjax" / path.parent.name, ROOT / path.parent.name)
            assert any(room.is_dir() for room in rooms), path
