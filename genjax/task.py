"""A task: the pure functions that a family of networks gives to the training loop."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from genjax.data import Dataset
from genjax.latents import Latents
from genjax.stylization import Stylization

RUN_PREFIX = "run:"  # before a workdir, where a picture is asked for: the samples of that run

State = Any  # the family's flax.struct dataclass, with everything that a resume needs
Batch = Mapping[str, jax.Array]  # "image" u8[B, H, W, C], "label" i32[B], "index" i32[B]
Metrics = Mapping[str, jax.Array]


class Stage(NamedTuple):
    """The stage of a run that a task is of, where a run has several.

    Stages follow one another within one run and its workdir. Each has a task of its own, whose
    state may have other shapes, and which other compiled programs serve: scales of a picture. The
    stage of a step follows from the config and the step alone, so that a run resumes in it. All
    tasks of a run have the same number of images a step, and its data.

    The state after the last step of a stage is that stage's, in checkpoints too. The next one
    begins with what `carry` makes of it, and keeps in its own state what later ones want of it.

    Attributes:
      until: the step after which the next stage begins; None for the last stage, which has no end.
      task: `(step) -> Task` of the stage in which that step is, counted from 1. Of one stage it has
        to be one and the same task, or compute the same.
      carry: `(last state of the stage before, constants) -> state`, a pure function, of the shapes
        that the task's `init` has; None for the first stage, which begins with `init`.
    """

    until: int | None
    task: Callable[[int], "Task"]
    carry: Callable[..., State] | None = None


class Task(NamedTuple):
    """Pure functions over pytrees: no I/O and no globals.

    Pictures leave a task as uint8, so that files, reports and scores are of the same pictures.
    `init`, `evaluate` and `pictures` run once or seldom, so families trace them with native
    operations, which compile sooner (`genjax.nn.backend`).

    Attributes:
      init: `(key, constants) -> state`.
      step: `(state, batch, key, axis_name) -> (state, metrics)`, one optimiser round. `batch` and
        `metrics` (f32[] each, means over the batch) are of this device's shard when `axis_name`
        names a mapped axis, and of the global batch when it is None. The step itself averages
        gradients and statistics over `axis_name`.
      images_per_step: how many images a step consumes, all devices together.
      evaluate: `(state, batch, key) -> metrics`, f32[B]: one value per example, of the held-out
        data or, without data, of the state's pictures. All batches have the same key: noise comes
        from it and an example's "index". None for a task without scores.
      reconstruct: `(state, batch, key) -> f32[B, H, W, C]` in [0, 1], reconstructions of held-out
        pictures as they are stored, whatever is binarised: of a VAE, the expected picture of the
        latent that stands for each (the posterior's mean). None where nothing is reconstructed.
      log_weights: `(state, batch, key, samples i32[k]) -> f32[B, k]`, log p(x, z) - log q(z | x) in
        nats of held-out data x and samples z of q, each a function of the key, the example's
        "index" and its own number; the mean of their exponentials is p(x). None where there is no
        likelihood.
      posterior: `(state, batch, key) -> (f32[B, L], f32[B, L])`, means and log-variances of the
        latents of held-out pictures. None where there are none, or of another kind.
      code: `(state, batch, key) -> i32[B, n]`, the codes that held-out pictures have at their n
        positions. None where latents are no codes.
      codes: how many there are to choose from; 0 where there are none.
      sample: `(state, key, index i32[n]) -> u8[n, H, W, C]`, pictures to show, each a function of
        the state, the key and its own index; None for a task that makes no pictures of its own. If
        the state is the pictures, all of them, whatever `index`.
      classes: sample i is of class i % classes, or all of `sample.label`; 0 where samples have no
        class.
      sampled_with: what a score of samples says of the networks: "parameters", "average" or "raw",
        and "batch_norm", whose statistics count where there is any.
      latents: how samples follow from latents, and what else can be drawn by them; None where none
        are.
      decode: `(state, z f32[n, L], index i32[n]) -> f32[n, H, W, C]` in [0, 1], the pictures of
        latents, of which `model.latent` says the length; `index` chooses what else `sample` does.
        None where those of samples are not standard normal.
      stylization: how the network brings pictures into styles; None for one that does not.
      pictures: `(state, batch, key) -> {name: u8[rows, columns, H, W, C]}`, further pictures to
        show, made from held-out data, such as reconstructions beside their originals; `batch` holds
        `constants`, too.
      outputs: `(state) -> {file name: u8[H, W, C], or the bytes of another file}`, the results of
        the run or of a stage of it, written into the workdir when that ends.
      state_is_batch: whether the image is the parameter: the state's leaves then have the batch as
        leading axis and are sharded like one. Otherwise the state is replicated (`jit`, `pmap`) or
        sharded by parameter (`fsdp`).
      shared: whether devices share out the work on each picture, where they do not divide pictures
        that are parameters (`genjax.devices.shared`): the state is then not sharded like a batch.
      constants: {name: arrays} that no step changes, such as a feature network's weights. They are
        replicated on every device, and every batch holds them besides its images.
      copied: `() -> {field: arrays}`, fields of the state that a new run has from elsewhere and not
        from `init`, which gives their shapes alone. Called where a run begins, and never again.
      known: JSON values, besides the config and the data, that the task was built of, such as the
        form of another run's networks. They are kept in the workdir, and `Inputs` has them again.
      networks: the names of the state's fields that are networks' variables, with which another run
        can start (`init_from`).
      remarks: `(state) -> [line, ...]`, what people should know of the final state, a host's copy.
      stage: which of a run's stages the task is of; None where the run has one.
      saturated: `({"train/…": mean}) -> bool`, whether by its metrics a discriminator tells nearly
        all pictures apart; None where no metric says so.
      notes: {name: fact} for the run's report, such as whose weights were used.
    """

    init: Callable[..., State]
    step: Callable[..., tuple[State, Metrics]]
    images_per_step: int
    evaluate: Callable[..., Metrics] | None = None
    reconstruct: Callable[..., jax.Array] | None = None
    log_weights: Callable[..., jax.Array] | None = None
    posterior: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    code: Callable[..., jax.Array] | None = None
    codes: int = 0
    sample: Callable[..., jax.Array] | None = None
    classes: int = 0
    sampled_with: Mapping[str, str] = {}
    latents: Latents | None = None
    decode: Callable[..., jax.Array] | None = None
    stylization: Stylization | None = None
    pictures: Callable[..., Mapping[str, jax.Array]] | None = None
    outputs: Callable[..., Mapping[str, jax.Array | bytes]] | None = None
    state_is_batch: bool = False
    shared: bool = False
    constants: Mapping[str, Any] = {}
    copied: Callable[[], Mapping[str, Any]] | None = None
    known: Mapping[str, Any] = {}
    networks: tuple[str, ...] = ()
    remarks: Callable[..., list[str]] | None = None
    stage: Stage | None = None
    saturated: Callable[[Metrics], bool] | None = None
    notes: Mapping[str, str] = {}


def in_stages(ends: Sequence[int], make: Callable[[int], tuple[Task, Callable]]) -> Task:
    """The first task of a run in stages.

    Args:
      ends: the step after which each stage ends; of the last one, which has no end, it is not used.
      make: `(number from 0 on) -> (task, carry)` of a stage (`Stage`); the first one's `carry` is
        not used. It is called as a stage begins, and for whoever asks for a step of another one.
    """

    @functools.lru_cache(maxsize=1)  # while a stage lasts, for whoever asks for its task
    def of_stage(number: int) -> Task:
        task, carry = make(number)
        until = ends[number] if number < len(ends) - 1 else None
        return task._replace(stage=Stage(until, of_step, carry if number else None))

    def of_step(step: int) -> Task:
        return of_stage(sum(step > end for end in ends[:-1]))

    return of_step(1)


class Inputs(NamedTuple):
    """What a family builds its task from, besides the config.

    Attributes:
      dataset: the images to train on; None for a task that optimises pictures.
      read_picture: `(name) -> [u8[H, W, 3], ...]`, the pictures that a path, a built-in name or
        `run:WORKDIR` (the samples of a trained run) stands for.
      known: `Task.known` of the run that goes on; {} for a new one.
    """

    dataset: Dataset | None
    read_picture: Callable[[str], list]
    known: Mapping[str, Any] = {}
