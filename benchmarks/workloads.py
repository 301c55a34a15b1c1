"""What is measured: one table of workloads, each a real command at sizes for CPU and for GPU."""

import shlex
from typing import NamedTuple

from genjax.config import nearest
from genjax.errors import UserError

SUITES = ("quick", "full", "smoke")

TRAIN, SAMPLE, INPUT, LOOP, START = KINDS = ("train", "sample", "input", "loop", "start")


class Setting(NamedTuple):
    """One row of a workload.

    Attributes:
      batch: images a step; None where the config's pictures say it.
      precision: "float32" or "bfloat16".
      goal: the ratio to the fastest PyTorch variant that it has to reach; None for no goal.
    """

    batch: int | None
    precision: str
    goal: float | None


class Workload(NamedTuple):
    """What is measured.

    Attributes:
      name: as people write it in `--only`.
      kind: "train" (steps), "sample", "input" (batches from the data), "loop" (the training loop
        against its bare steps) or "start" (of a whole process, to the first step).
      peer: the task of the config, of which `peers/PEER.py` is the PyTorch program: the other sides
        of "train" and "sample" are its variants.
      command: the arguments of `main.py`, as one would type them, the config first.
      cpu, gpu: {batch: goal} on either, as rows have them; on a GPU, of training, the paper's and
        a large one.
      parity: further arguments under which both sides are compared; None where there is no peer or
        another workload compares the same network.
      suites: where it is measured.
      precisions: in which it is measured on a GPU.
      unit: what a step makes, in the plural.
      same_steps: rounds of all sides are the same steps, because their cost depends on the step.
      gigabytes: of main memory that one side needs on a CPU, where that is much; 0 where it is
        little. Without enough for all, ours is measured with one other at a time; without enough
        for two, not at all.
    """

    name: str
    kind: str
    peer: str
    command: str
    cpu: dict[int | None, float | None]
    gpu: dict[int | None, float | None]
    parity: str | None = None
    suites: tuple[str, ...] = ("full",)
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    unit: str = "images"
    same_steps: bool = False
    gigabytes: float = 0.0

    def settings(self, place: str) -> list[Setting]:
        """Its rows on a "cpu" or a "gpu"."""
        batches, precisions = (
            (self.cpu, ("float32",)) if place == "cpu" else (self.gpu, self.precisions)
        )
        return [Setting(b, kind, goal) for b, goal in batches.items() for kind in precisions]


_QUICK = ("quick", "full")

# Both sides are compared at small sizes, where rounding moves no activation over the kink of a ReLU
# or the tie of a maximum: each such move changes a gradient by as much as an activation's share of
# it. Adam's first steps are nearly signs: where ten of them carry rounding far, they are smaller.
_SMALL = "--config.model.width={} --config.train.batch_size={}"
_SMALL_GAN = f"{_SMALL.format(8, 4)} --config.optimizer.learning_rate=1e-5"
# Fifty updates and a penalty of gradients: kinks have many more chances (see parity.py).
_SMALLER_GAN = f"{_SMALL.format(4, 2)} --config.optimizer.learning_rate=1e-5"

_DCGAN_32 = "--config=configs/dcgan.py:size=32,width=64 --config.data.channels=3"
_DCGAN_64 = "--config=configs/dcgan.py:size=64,width=64 --config.data.channels=3"
_SNGAN = "--config=configs/sngan.py:width=64 --config.data.channels=3"
_WGAN_GP = "--config=configs/wgan_gp.py:width=64 --config.data.channels=3"
_VAE, _VAE_CONV = "--config=configs/vae.py", "--config=configs/vae.py:arch=conv"
_SLOWER = "--config.optimizer.learning_rate=1e-4"
_SMALL_VAE = f"{_SLOWER} --config.train.batch_size=4"
_CNN = "--config=configs/cnn.py"
_STYLE = "--config=configs/style.py:size={} --config.content=astronaut --config.style=coffee"
# PATH stands for a folder of files, which are made when it is measured.
_JPEG = (
    "--config=configs/dcgan.py:size=64,width=64"
    " --config.data.name=folder:PATH --config.data.placement=stream"
)
_RESIDENT = f"{_DCGAN_64} --config.data.placement=resident"
_LONG, _START = "--config=configs/dcgan.py:size=32,width=32", "--config=configs/dcgan.py"
_TINY_GAN = "--config=configs/dcgan.py:size=8,width=4 --config.model.latent=8"
_TINY_STYLE = (
    f"{_STYLE.format(24)} --config.optimizer.name=adam --config.content_loss.layers=relu2_1"
    " --config.style_loss.layers=relu1_1,relu2_1 --config.style_loss.weights=1.0,1.0"
)


# A line search may evaluate the loss several times in one iteration, and not in another.
_ITERATIONS = {"unit": "iterations", "same_steps": True}


def _style(optimizer: str, size: int, suites=("full",)) -> Workload:
    # Half a minute an iteration on two cores is nobody's choice.
    is_too_long = (optimizer, size) == ("lbfgs", 1024)
    return Workload(
        f"style-{optimizer}-{size}",
        TRAIN,
        "style",
        f"{_STYLE.format(size)} --config.optimizer.name={optimizer}",
        {} if is_too_long else {None: 1.1},
        {None: 1.0},
        parity="--config.size=32" if size == 256 else None,
        gigabytes=6.0 if size == 1024 else 0.0,
        suites=suites,
        **_ITERATIONS,
    )


_ONCE = {"precisions": ("float32",)}
_SMOKE = {"parity": "", "suites": ("smoke",), **_ONCE}  # tiny, so that a test can run the command

# The goals are those of docs/benchmarks.md: ratios to the fastest PyTorch variant.
TABLE = (
    Workload(
        "dcgan-32", TRAIN, "gan", _DCGAN_32, {64: 1.2}, {128: 1.5, 1024: 1.0}, _SMALL_GAN, _QUICK
    ),
    Workload("dcgan-64", TRAIN, "gan", _DCGAN_64, {64: 1.2}, {128: 1.5, 1024: 1.0}, _SMALL_GAN),
    Workload("sngan-32", TRAIN, "gan", _SNGAN, {64: 1.2}, {64: 1.5, 512: 1.0}, _SMALL_GAN),
    # Five batches a step, and the penalty's second derivatives: a step of 16 is long on a CPU.
    Workload("wgan-gp-32", TRAIN, "gan", _WGAN_GP, {16: 1.2}, {64: 1.5, 512: 1.0}, _SMALLER_GAN),
    Workload("vae-mlp", TRAIN, "vae", _VAE, {100: 1.2}, {100: 1.5, 8192: 1.0}, _SLOWER, _QUICK),
    Workload("vae-conv", TRAIN, "vae", _VAE_CONV, {100: 1.2}, {100: 1.5, 4096: 1.0}, _SMALL_VAE),
    Workload(
        "cnn", TRAIN, "cnn", _CNN, {64: 1.2}, {64: 1.5, 4096: 1.0}, _SMALL.format(4, 2), _QUICK
    ),
    _style("adam", 256, _QUICK),
    _style("lbfgs", 256),
    _style("adam", 512),
    _style("lbfgs", 512),
    _style("adam", 1024),
    _style("lbfgs", 1024),
    Workload("sample-dcgan-32", SAMPLE, "gan", _DCGAN_32, {64: None}, {1024: None}, suites=_QUICK),
    Workload("sample-dcgan-64", SAMPLE, "gan", _DCGAN_64, {64: None}, {1024: None}),
    Workload("sample-vae-conv", SAMPLE, "vae", _VAE_CONV, {64: None}, {1024: None}),
    Workload("input-jpeg", INPUT, "gan", _JPEG, {64: None}, {64: None}, None, _QUICK, **_ONCE),
    Workload("input-resident", INPUT, "gan", _RESIDENT, {64: None}, {64: None}, **_ONCE),
    Workload("loop-short", LOOP, "vae", _VAE, {100: None}, {100: None}, None, _QUICK, **_ONCE),
    Workload("loop-long", LOOP, "gan", _LONG, {64: None}, {64: None}, **_ONCE),
    Workload("start-dcgan", START, "gan", _START, {64: None}, {64: None}, None, _QUICK, **_ONCE),
    Workload("tiny-dcgan", TRAIN, "gan", _TINY_GAN, {8: None}, {8: None}, **_SMOKE),
    Workload(
        "tiny-style",
        TRAIN,
        "style",
        _TINY_STYLE,
        {None: None},
        {None: None},
        **_SMOKE,
        **_ITERATIONS,
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
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in BY_NAME:
            known = f"(known: {', '.join(BY_NAME)})"
            raise UserError(f"--only={name} is no workload{nearest(name, BY_NAME)} {known}")
    return [w for w in TABLE if (w.name in names if names else suite in w.suites)]


def row_name(workload: Workload, setting: Setting) -> str:
    """What a row is called: `dcgan-32, batch 64, float32`, without what does not apply."""
    batch = "" if setting.batch is None else f", batch {setting.batch}"
    return f"{workload.name}{batch}, {setting.precision}"


def arguments(workload: Workload, setting: Setting | None = None) -> tuple[str, list[str]]:
    """(FILE[:ARG], `--config.KEY=VALUE` …), as `genjax.config.read` takes them.

    Args:
      setting: a row, whose batch and precision are among them; None for the parity check.
    """
    config, *found = shlex.split(workload.command)
    if setting is None:
        found += shlex.split(workload.parity)
    else:
        if setting.batch is not None:
            found.append(f"--config.train.batch_size={setting.batch}")
        found.append(f"--config.precision={setting.precision}")
    return config.removeprefix("--config="), found
