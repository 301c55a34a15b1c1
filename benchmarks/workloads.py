"""What is measured: one table of workloads, each a real config at sizes for CPU and for GPU."""

from collections.abc import Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax.config import nearest
from genjax.errors import UserError

SUITES = ("quick", "full", "smoke")

TRAIN, SAMPLE, INPUT, LOOP, START = KINDS = ("train", "sample", "input", "loop", "start")

# The goals of docs/benchmarks.md: ratios to the fastest PyTorch variant.
CPU_TRAINING, CPU_STYLE = 1.2, 1.1
GPU_PAPER, GPU_LARGE = 1.5, 1.0
# What a loop may cost over the bare step, by the step's length; and a warm start in seconds.
LOOP_COST, SHORT_LOOP_COST, SHORT_STEP_SECONDS = 0.02, 0.05, 0.01
WARM_START_SECONDS = 15.0


class Setting(NamedTuple):
    """One row of a workload.

    Attributes:
      batch: images a step; None where the config's pictures say it.
      precision: "float32" or "bfloat16".
      goal: the ratio to the fastest PyTorch variant that it has to reach; None for no goal.
    """

    batch: int | None
    precision: str = "float32"
    goal: float | None = None


class Workload(NamedTuple):
    """What is measured.

    Attributes:
      name: as people write it in `--only`.
      kind: "train" (steps), "sample", "input" (batches from the data), "loop" (the training loop
        against its bare steps) or "start" (of a whole process, to the first step).
      family: of the network: "gan", "vae", "cnn" or "style".
      config: FILE[:ARG], as `main.py` takes it.
      overrides: {dotted key: text of its value}.
      suites: where it is measured.
      cpu, gpu: its rows on either.
      unit: what a step makes, in the plural.
      same_steps: rounds of all sides are the same steps, because their cost depends on the step.
      parity: further overrides under which both sides are compared; None where there is no peer
        or another workload compares the same network.
      gigabytes: of main memory that one side needs on a CPU, where that is much; 0 where it is
        little. Without enough for all, ours is measured with one other at a time; without enough
        for two, not at all.
    """

    name: str
    kind: str
    family: str
    config: str
    overrides: dict[str, str]
    suites: tuple[str, ...]
    cpu: tuple[Setting, ...]
    gpu: tuple[Setting, ...]
    unit: str = "images"
    same_steps: bool = False
    parity: dict[str, str] | None = None
    gigabytes: float = 0.0


_RGB = {"data.channels": "3"}
_STYLE = {"content": "astronaut", "style": "coffee"}
_BOTH = ("quick", "full")
_FULL = ("full",)


def _gpu(paper: int, large: int) -> tuple[Setting, ...]:
    """The paper's batch and a large one, each in both precisions."""
    kinds = ("float32", "bfloat16")
    return (
        *(Setting(paper, kind, GPU_PAPER) for kind in kinds),
        *(Setting(large, kind, GPU_LARGE) for kind in kinds),
    )


# Both sides are compared at small sizes, where rounding moves no activation over the kink of a ReLU
# or the tie of a maximum: each such move changes a gradient by as much as an activation's share of
# it. Adam's first steps are nearly signs: where ten of them carry rounding far, they are smaller.
_SMALL_GAN = {"model.width": "8", "train.batch_size": "4"}
_SMALL_STEPS = {"optimizer.learning_rate": "1e-5"}


def _training(name, family, config, overrides, batches, parity, suites=_FULL) -> Workload:
    """Training steps with three batches: on a CPU, and the paper's and a large one on a GPU."""
    on_cpu, paper, large = batches
    cpu = (Setting(on_cpu, goal=CPU_TRAINING),)
    return Workload(
        name, TRAIN, family, config, overrides, suites, cpu, _gpu(paper, large), parity=parity
    )


def _style(optimizer: str, size: int, suites=_FULL) -> Workload:
    return Workload(
        name=f"style-{optimizer}-{size}",
        kind=TRAIN,
        family="style",
        config=f"configs/style.py:size={size}",
        overrides=_STYLE | {"optimizer.name": optimizer},
        suites=suites,
        # Half a minute an iteration on two cores is nobody's choice.
        cpu=() if (optimizer, size) == ("lbfgs", 1024) else (Setting(None, goal=CPU_STYLE),),
        gpu=(Setting(None, goal=GPU_LARGE), Setting(None, "bfloat16", GPU_LARGE)),
        unit="iterations",
        # A line search may evaluate the loss several times in one iteration, and not in another.
        same_steps=True,
        parity={"size": "32"} if size == 256 else None,
        gigabytes=6.0 if size == 1024 else 0.0,
    )


def _without_peer(name, kind, family, config, overrides, suites, batch) -> Workload:
    one = (Setting(batch),)
    return Workload(name, kind, family, config, overrides, suites, one, one)


_DCGAN = "configs/dcgan.py:size={},width={}"

TABLE = (
    _training(
        "dcgan-32",
        "gan",
        _DCGAN.format(32, 64),
        _RGB,
        (64, 128, 1024),
        _SMALL_GAN | _SMALL_STEPS,
        _BOTH,
    ),
    _training(
        "dcgan-64",
        "gan",
        _DCGAN.format(64, 64),
        _RGB,
        (64, 128, 1024),
        _SMALL_GAN | _SMALL_STEPS,
    ),
    _training(
        "sngan-32",
        "gan",
        "configs/sngan.py:width=64",
        _RGB,
        (64, 64, 512),
        _SMALL_GAN | _SMALL_STEPS,
    ),
    # Five batches a step, and the penalty's second derivatives: a step of 16 is long on a CPU.
    _training(
        "wgan-gp-32",
        "gan",
        "configs/wgan_gp.py:width=64",
        _RGB,
        (16, 64, 512),
        # Fifty updates and a penalty of gradients: kinks have many more chances (see parity.py).
        _SMALL_GAN | _SMALL_STEPS | {"model.width": "4", "train.batch_size": "2"},
    ),
    _training(
        "vae-mlp",
        "vae",
        "configs/vae.py",
        {},
        (100, 100, 8192),
        {"optimizer.learning_rate": "1e-4"},
        _BOTH,
    ),
    _training(
        "vae-conv",
        "vae",
        "configs/vae.py:arch=conv",
        {},
        (100, 100, 4096),
        {"train.batch_size": "4", "optimizer.learning_rate": "1e-4"},
    ),
    _training(
        "cnn",
        "cnn",
        "configs/cnn.py",
        {},
        (64, 64, 4096),
        {"model.width": "4", "train.batch_size": "2"},
        _BOTH,
    ),
    _style("adam", 256, _BOTH),
    _style("lbfgs", 256),
    _style("adam", 512),
    _style("lbfgs", 512),
    _style("adam", 1024),
    _style("lbfgs", 1024),
    *(
        Workload(
            name=f"sample-{name}",
            kind=SAMPLE,
            family=family,
            config=config,
            overrides=overrides,
            suites=suites,
            cpu=(Setting(64),),
            gpu=(Setting(1024), Setting(1024, "bfloat16")),
        )
        for name, family, config, overrides, suites in (
            ("dcgan-32", "gan", _DCGAN.format(32, 64), _RGB, _BOTH),
            ("dcgan-64", "gan", _DCGAN.format(64, 64), _RGB, _FULL),
            ("vae-conv", "vae", "configs/vae.py:arch=conv", {}, _FULL),
        )
    ),
    _without_peer("input-jpeg", INPUT, "gan", _DCGAN.format(64, 64), {}, _BOTH, 64),
    _without_peer("input-resident", INPUT, "gan", _DCGAN.format(64, 64), _RGB, _FULL, 64),
    _without_peer("loop-short", LOOP, "vae", "configs/vae.py", {}, _BOTH, 100),
    _without_peer("loop-long", LOOP, "gan", _DCGAN.format(32, 32), {}, _FULL, 64),
    _without_peer("start-dcgan", START, "gan", "configs/dcgan.py", {}, _BOTH, 64),
    # Tiny, so that a test can run the whole command.
    Workload(
        name="tiny-dcgan",
        kind=TRAIN,
        family="gan",
        config=_DCGAN.format(8, 4),
        overrides={"model.latent": "8"},
        suites=("smoke",),
        cpu=(Setting(8),),
        gpu=(Setting(8),),
        parity={},
    ),
    Workload(
        name="tiny-style",
        kind=TRAIN,
        family="style",
        config="configs/style.py:size=24",
        overrides=_STYLE
        | {
            "optimizer.name": "adam",
            "content_loss.layers": "relu2_1",
            "style_loss.layers": "relu1_1,relu2_1",
            "style_loss.weights": "1.0,1.0",
        },
        suites=("smoke",),
        cpu=(Setting(None),),
        gpu=(Setting(None),),
        unit="iterations",
        same_steps=True,
        parity={},
    ),
)

BY_NAME = {workload.name: workload for workload in TABLE}


def select(suite: str, only: str) -> list[Workload]:
    """The workloads of a suite, or those of it that `only` names, with commas between.

    A workload that is named is measured even where the suite does not have it: the suite then only
    says how carefully.

    Raises:
      UserError: the suite or a workload is unknown; the message has the nearest.
    """
    if suite not in SUITES:
        raise UserError(f"--suite={suite} is none of {', '.join(SUITES)}{nearest(suite, SUITES)}")
    if not only:
        return [workload for workload in TABLE if suite in workload.suites]
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in BY_NAME:
            raise UserError(
                f"--only={name} is no workload{nearest(name, BY_NAME)} "
                f"(known: {', '.join(BY_NAME)})"
            )
    return [workload for workload in TABLE if workload.name in names]


def overrides(workload: Workload, setting: Setting) -> dict[str, str]:
    """{dotted key: text} of a row: the workload's, and the setting's batch and precision."""
    batch = {} if setting.batch is None else {"train.batch_size": str(setting.batch)}
    return workload.overrides | batch | {"precision": setting.precision}


def read(config: str, overrides: Mapping[str, str]) -> ConfigDict:
    """The config that `main.py` would read, with {dotted key: text}."""
    return config_lib.read(config, [f"--config.{key}={text}" for key, text in overrides.items()])


def row_name(workload: Workload, setting: Setting) -> str:
    """What a row is called: `dcgan-32, batch 64, float32`, without what does not apply."""
    batch = "" if setting.batch is None else f", batch {setting.batch}"
    return f"{workload.name}{batch}, {setting.precision}"
