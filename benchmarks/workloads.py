"""What is measured: one table of workloads, each a real command at sizes for CPU and for GPU."""

import shlex
from typing import NamedTuple

from genjax.config import nearest
from genjax.errors import UserError

SUITES = ("quick", "full", "smoke")

# Training steps, drawing, likelihoods of held-out pictures, painting pictures in a style, batches
# from the data, the loop against its bare steps, whole commands.
KINDS = ("train", "sample", "score", "stylize", "input", "loop", "command")
TRAIN, SAMPLE, SCORE, STYLIZE, INPUT, LOOP, COMMAND = KINDS


class Setting(NamedTuple):
    """One row of a workload."""

    batch: int | None  # images a step; None where the config's pictures say it
    precision: str  # "float32" or "bfloat16"
    goal: float | None  # the ratio to PyTorch that it has to reach; of a command, from a warm cache


class Workload(NamedTuple):
    """A command of `main.py`, and at which sizes it is measured."""

    name: str  # as people write it in `--only`
    kind: str
    # The config's task, of which peers/PEER.py is the program in PyTorch; or "score", of which
    # torch_score.py is.
    peer: str
    command: str  # as one would type it; PATH is a folder with pictures, made when it is measured
    cpu: dict[int | None, float | None]  # {batch: goal}
    gpu: dict[int | None, float | None]  # of training: the paper's batch, and a large one
    parity: str | None = None  # further arguments, to compare both sides; None if another does it
    suites: tuple[str, ...] = ("full",)
    precisions: tuple[str, ...] = ("float32", "bfloat16")  # on a GPU
    empty_goal: float | None = None  # of a command on a CPU, from an empty cache

    @property
    def unit(self) -> str:
        """What a step makes; without a batch, it is an iteration of an optimiser."""
        if self.kind == COMMAND:
            return "runs"
        return "iterations" if None in self.gpu else "images"

    def settings(self, place: str) -> list[Setting]:
        """Its rows on a "cpu" or a "gpu"."""
        batches = self.cpu if place == "cpu" else self.gpu
        precisions = self.precisions if place == "gpu" else ("float32",)
        return [Setting(b, kind, goal) for b, goal in batches.items() for kind in precisions]


_QUICK = ("quick", "full")
_ONCE = {"precisions": ("float32",)}
_SMOKE = {"parity": "", "suites": ("smoke",), **_ONCE}  # tiny, so that a test can run the command

_DCGAN = "--config=configs/dcgan.py"
_DCGAN_32 = f"{_DCGAN}:size=32,width=64 --config.data.channels=3"
_DCGAN_64 = f"{_DCGAN}:size=64,width=64 --config.data.channels=3"
_SNGAN = "--config=configs/sngan.py:arch=chainer_gan_lib,width=64 --config.data.channels=3"
_WGAN_GP = "--config=configs/wgan_gp.py:width=64 --config.data.channels=3"
# The presets that two cores train, and the published sizes, which are for GPUs: without the
# augmentations, schedules and classes that no peer has.
_RESNET = "--config=configs/sngan.py:arch=resnet,width={} --config.data.channels=3"
_BIGGAN = "--config=configs/biggan.py:preset={},data=mnist --config.data.channels=3"
_STYLEGAN2 = "--config=configs/stylegan2.py:preset={},data=mnist,augment=none"
_STYLEGAN2 += " --config.data.channels=3"
_R3GAN = "--config=configs/r3gan.py:preset={},data=mnist,condition=none,decay=0,flip=false"
_R3GAN += " --config.data.channels=3"
_VAE, _VAE_CONV = "--config=configs/vae.py", "--config=configs/vae.py:arch=conv"
_NLL = f"{_VAE} --config.score.k=5000"
_IWAE = "--config=configs/iwae.py:k=50"
_VQVAE = "--config=configs/vqvae.py"
_VDVAE = "--config=configs/vdvae.py"
_CNN = "--config=configs/cnn.py"
_STYLE = "--config=configs/style.py:size={} --config.content=astronaut --config.style=coffee"
_WASSERSTEIN = "--config=configs/style.py:preset=wasserstein,size=256,smallest=0"
_WASSERSTEIN += " --config.content=astronaut --config.style=coffee"
# Three styles, of the losses of Dumoulin et al.
_FAST = "--config=configs/style_fast.py:size={},width={},blocks={} --config.style=coffee,cat,rocket"
_FAST_FOLDER = f"{_FAST} --config.data.name=folder:PATH"
_FAST_512 = f"{_FAST.format(32, 32, 5)} --config.data.name=mnist --config.stylize.size=512"
_ADAIN = "--config=configs/style_adain.py --config.data.name=folder:PATH"
_ADAIN += " --config.style=coffee,cat,rocket"
_JPEG = f"{_DCGAN}:size=64,width=64 --config.data.name=folder:PATH --config.data.placement=stream"
_RESIDENT = f"{_DCGAN_64} --config.data.placement=resident"
_LONG = f"{_DCGAN}:size=32,width=32"
# As one types them, with all defaults: 3,000 steps of dcgan and vae, 1,000 of cnn, 200 of style.
_STYLE_COMMAND = "--config=configs/style.py --config.content=astronaut --config.style=coffee"
_TINY_COMMAND = f"{_VAE} --config.train.steps=40 --config.model.hidden=(16,)"
_SCORE_COMMAND = "--mode=score --real=PATH/real.npz --fake=PATH/fake.npz --metrics=frechet --n={}"
_TINY_GAN = f"{_DCGAN}:size=8,width=4 --config.model.latent=8"
_SHALLOW = "--config.content_loss.layers=relu2_1"
_SHALLOW += " --config.style_loss.layers=relu1_1,relu2_1 --config.style_loss.weights=1.0,1.0"
_TINY_STYLE = f"{_STYLE.format(24)} --config.optimizer.name=adam {_SHALLOW}"

# Both sides are compared at small sizes, where rounding moves no activation over the kink of a ReLU
# or the tie of a maximum: each such move changes a gradient by as much as an activation's share of
# it. Adam's first steps are nearly signs: where ten of them carry rounding far, they are smaller.
_SIZES = "--config.model.width={} --config.train.batch_size={}"
_SMALL = f"{_SIZES.format(8, 4)} --config.optimizer.learning_rate=1e-5"
# Fifty updates and a penalty of gradients: kinks have many more chances (docs/benchmarks.md).
_SMALLER = f"{_SIZES.format(4, 2)} --config.optimizer.learning_rate=1e-5"
_TINY = f"{_SMALL} --config.data.size=8"
_TINY_STYLEGAN2 = f"{_TINY} --config.model.base=32 --config.regularizer.interval=3"
_TINY_R3GAN = "--config.data.size=8 --config.model.widths=(8,8) --config.model.groups=(2,2)"
_TINY_R3GAN += " --config.train.batch_size=4 --config.optimizer.learning_rate=1e-5"
_SLOWER = "--config.optimizer.learning_rate=1e-4"
_SMALL_VAE = f"{_SLOWER} --config.train.batch_size=4"
_SMALL_VQVAE = f"{_TINY} --config.model.inner=2"
_SMALL_VDVAE = f"{_SMALL} --config.data.size=8 --config.model.encoder=8x1,8d2,4d4,1x1"
_SMALL_VDVAE += " --config.model.decoder=1x1,4m1,8m4"
_SMALL_FAST = f"{_SMALLER} --config.data.name=mnist --config.data.size=16 --config.model.blocks=1"
_SMALL_ADAIN = "--config.data.name=mnist --config.data.size=20 --config.crop=16"
_SMALL_ADAIN += " --config.train.batch_size=2 --config.optimizer.learning_rate=1e-6"
_SMALL_ADAIN += " --config.optimizer.decay=0.1"  # so that ten steps show it
# Sixteen tiles of shallow layers, whose halo is 4 px; that of relu5_1 is 64 px.
_SMALL_TILES = f"--config.size=32 --config.tile=8 {_SHALLOW} --config.optimizer.learning_rate=1e-3"
_SMALL_CNN = _SIZES.format(4, 2)


def _style(optimizer: str, size: int) -> Workload:
    name = f"style-{optimizer}-{size}"
    command = f"{_STYLE.format(size)} --config.optimizer.name={optimizer}"
    # At 1024 px five sides would need 30 GB, and half a minute an iteration on two cores.
    cpu = {None: 1.1} if size < 1024 else {}
    parity = "--config.size=32" if size == 256 else None
    suites = _QUICK if name == "style-adam-256" else ("full",)
    return Workload(name, TRAIN, "style", command, cpu, {None: 1.0}, parity, suites)


def _sizes(name: str, command: str, sizes: tuple, gpu: dict, parity: str) -> list[Workload]:
    """A GAN at a size for CPUs, which parity takes, too, and at the published one for GPUs."""
    small, large = (command.format(size) for size in sizes)
    return [
        Workload(name, TRAIN, "gan", small, {32: 1.2}, {64: 1.5}, parity),
        Workload(f"{name}-published", TRAIN, "gan", large, {}, gpu),
    ]


def _command(peer: str, command: str, goal: float | None, name: str = "", **more) -> Workload:
    config = command.partition("/")[2].partition(".py")[0]
    name = name or f"command-{config}"
    return Workload(name, COMMAND, peer, command, {None: goal}, {None: None}, **more, **_ONCE)


# The goals are those of docs/benchmarks.md: ratios to the fastest PyTorch variant.
TABLE = (
    Workload("dcgan-32", TRAIN, "gan", _DCGAN_32, {64: 1.2}, {128: 1.5, 1024: 1.0}, _SMALL, _QUICK),
    Workload("dcgan-64", TRAIN, "gan", _DCGAN_64, {64: 1.2}, {128: 1.5, 1024: 1.0}, _SMALL),
    Workload("sngan-32", TRAIN, "gan", _SNGAN, {64: 1.2}, {64: 1.5, 512: 1.0}, _SMALL),
    # Five batches a step, and the penalty's second derivatives: a step of 16 is long on a CPU.
    Workload("wgan-gp-32", TRAIN, "gan", _WGAN_GP, {16: 1.2}, {64: 1.5, 512: 1.0}, _SMALLER),
    *_sizes("resnet-32", _RESNET, (16, 64), {64: 1.5, 512: 1.0}, _TINY),
    *_sizes("biggan-32", _BIGGAN, ("small,n_dis=1", "paper"), {50: 1.5, 512: 1.0}, _TINY),
    *_sizes("stylegan2-32", _STYLEGAN2, ("small", "cifar"), {64: 1.5, 512: 1.0}, _TINY_STYLEGAN2),
    *_sizes("r3gan-32", _R3GAN, ("small", "cifar"), {512: 1.0}, _TINY_R3GAN),
    Workload("vae-mlp", TRAIN, "vae", _VAE, {100: 1.2}, {100: 1.5, 8192: 1.0}, _SLOWER, _QUICK),
    Workload("vae-conv", TRAIN, "vae", _VAE_CONV, {100: 1.2}, {100: 1.5, 4096: 1.0}, _SMALL_VAE),
    Workload("iwae-50", TRAIN, "vae", _IWAE, {20: 1.2}, {20: 1.5, 1000: 1.0}, _SLOWER),
    Workload("vqvae", TRAIN, "vq", _VQVAE, {32: 1.2}, {32: 1.5, 1024: 1.0}, _SMALL_VQVAE),
    Workload("vdvae-small", TRAIN, "vdvae", _VDVAE, {16: 1.2}, {32: 1.5}, _SMALL_VDVAE),
    Workload("cnn", TRAIN, "cnn", _CNN, {64: 1.2}, {64: 1.5, 4096: 1.0}, _SMALL_CNN, _QUICK),
    *(_style(optimizer, size) for size in (256, 512, 1024) for optimizer in ("adam", "lbfgs")),
    Workload(
        "style-wasserstein-256",
        TRAIN,
        "style",
        _WASSERSTEIN,
        {None: 1.2},
        {None: 1.0},
        "--config.size=32",
    ),
    # Tiles as `auto` cuts them on a CPU. Its peer keeps the features of the whole picture, as one
    # has it in PyTorch: the row is about memory.
    Workload(
        "style-tiled-1024",
        TRAIN,
        "style",
        f"{_STYLE.format(1024)} --config.optimizer.name=adam --config.tile=352",
        {None: 1.2},
        {None: 1.0},
        _SMALL_TILES,
    ),
    Workload(
        "style-fast-128",
        TRAIN,
        "style_fast",
        _FAST_FOLDER.format(128, 16, 3),
        {4: 1.2},
        {16: 1.5},
        _SMALL_FAST,
    ),
    Workload(
        "style-fast-256-published",
        TRAIN,
        "style_fast",
        _FAST_FOLDER.format(256, 32, 5),
        {},
        {16: 1.5},
        _SMALL_FAST,
    ),
    Workload("style-adain-96", TRAIN, "style_adain", _ADAIN, {4: 1.2}, {8: 1.5}, _SMALL_ADAIN),
    Workload(
        "stylize-fast-512", STYLIZE, "style_fast", _FAST_512, {1: 1.5}, {1: 1.5}, suites=_QUICK
    ),
    Workload("sample-dcgan-32", SAMPLE, "gan", _DCGAN_32, {64: None}, {1024: None}, suites=_QUICK),
    Workload("sample-dcgan-64", SAMPLE, "gan", _DCGAN_64, {64: None}, {1024: None}),
    Workload("sample-vae-conv", SAMPLE, "vae", _VAE_CONV, {64: None}, {1024: None}),
    Workload("nll-5000", SCORE, "vae", _NLL, {4: None}, {100: None}, suites=_QUICK),
    Workload("input-jpeg", INPUT, "gan", _JPEG, {64: None}, {64: None}, None, _QUICK, **_ONCE),
    Workload("input-resident", INPUT, "gan", _RESIDENT, {64: None}, {64: None}, **_ONCE),
    Workload("loop-short", LOOP, "vae", _VAE, {100: None}, {100: None}, None, _QUICK, **_ONCE),
    Workload("loop-long", LOOP, "gan", _LONG, {64: None}, {64: None}, **_ONCE),
    _command("gan", _DCGAN, 1.2, empty_goal=1.0),
    _command("vae", _VAE, 1.2, empty_goal=1.0, suites=_QUICK),
    _command("cnn", _CNN, 1.2),
    _command("style", _STYLE_COMMAND, 1.4, empty_goal=1.0),
    _command("score", _SCORE_COMMAND.format(10_000), 1.2, name="command-score", empty_goal=1.0),
    Workload("tiny-dcgan", TRAIN, "gan", _TINY_GAN, {8: None}, {8: None}, **_SMOKE),
    Workload("tiny-style", TRAIN, "style", _TINY_STYLE, {None: None}, {None: None}, **_SMOKE),
    _command("vae", _TINY_COMMAND, None, name="tiny-command", suites=("smoke",)),
    _command("score", _SCORE_COMMAND.format(40), None, name="tiny-score", suites=("smoke",)),
)

BY_NAME = {workload.name: workload for workload in TABLE}


def select(suite: str, only: str) -> list[Workload]:
    """The workloads of a suite, or those that `only` names, with commas between.

    Of these, the suite only says how carefully they are measured.

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


def arguments(workload: Workload, setting: Setting | None = None) -> tuple[str | None, list[str]]:
    """(FILE[:ARG], `--config.KEY=VALUE` …), as `genjax.config.read` takes them; of a command
    without a config (None, its arguments).

    Args:
      setting: a row, whose batch and precision are among them; None for the parity check.
    """
    config, *found = shlex.split(workload.command)
    if not config.startswith("--config="):
        return None, [config, *found]
    if setting is None:
        found += shlex.split(workload.parity)
    else:
        if setting.batch is not None:
            found.append(f"--config.train.batch_size={setting.batch}")
        found.append(f"--config.precision={setting.precision}")
    return config.removeprefix("--config="), found
