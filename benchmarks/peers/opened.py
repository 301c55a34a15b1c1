"""What a peer is given where genjax opens it: the same pixels and weights as its own side."""

import numpy as np

from benchmarks.peers import base, style, style_fast
from genjax import data, images, runs
from genjax.cnn import vgg
from genjax.style import fast_task, inputs


def given(config) -> base.Examples | style.Pictures | style_fast.Given:
    """What `benchmarks.peers.build` takes: a training split, pictures and weights, or all of them.

    Raises:
      UserError: the data, a picture or the weights cannot be read.
    """
    if config.task == "style":
        return _pictures(config)
    dataset, size = data.open_dataset(config.data), config.train.batch_size
    arrays = data.Resident(dataset.train, size, np.arange(size), config.seed).arrays
    examples = base.Examples(arrays["image"], arrays["label"], dataset.classes)
    if config.task == "style_fast":
        read = fast_task.read_styles(config, runs.read_picture, max(dataset.shape[:2]))
        return style_fast.Given(examples, [x[None] for _, x in read], vgg.load("vgg16"))
    if config.task == "style_adain":
        read, side = inputs.named(config, "style", runs.read_picture), min(dataset.shape[:2])
        styles = [images.crop_square(picture, side)[None] for picture in read]
        return style_fast.Given(examples, styles, vgg.load("vgg16"))
    return examples


def _pictures(config) -> style.Pictures:
    pictures = inputs.load(config, runs.read_picture)
    if len(pictures.contents) + len(pictures.styles) > 2:
        raise ValueError("several contents or styles have no peer")
    return style.Pictures(pictures.contents, pictures.styles[0], pictures.start, vgg.load("vgg16"))
