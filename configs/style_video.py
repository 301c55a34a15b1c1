"""Style transfer of a clip whose frames do not flicker: Ruder, Dosovitskiy and Brox 2016,
arXiv:1604.08610.

    python main.py --config=configs/style_video.py:frames=100 --config.content=CLIP --config.style=A

CLIP is a GIF, an MP4 (`pip install -e ".[video]"`), a folder or a glob of frames, or `example`, the
built-in clip. The workdir gets `frames/0001.png`, … and `result.mp4`, or `result.gif` without PyAV.
"""

from configs import style
from genjax import config as config_lib

# {preset: its arguments}. The authors' programs have 2,000 steps for the first frame, from noise,
# and 1,000 for each further one, unless it changes little before.
_ARGUMENTS = {
    "small": {"size": 256, "first": 100, "further": 40},
    "paper": {"size": 512, "first": 2000, "further": 1000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `size` (px of the longer side), `features`, `frames` (how
    many of the clip's, from the first on), `first` and `further` (`video.steps`).

    Keys:
      content: the clip; style, style_weights, style_scale, color: as in configs/style.py.
      size: px on the frames' longer side; 0 for their own.
      init, init_noise: where the first frame starts, as in configs/style.py.
      video.frames: how many frames are made, from the first on; 0 for all.
      video.steps: how many steps the first frame has, and how many each further one. `train.steps`
        ends after the last one, or earlier.
      video.start: where a further frame starts: "warped", from the one before, moved as the clip
        moves, as the paper has it; "filled", the same, and from itself where that cannot be relied
        on, which leaves no trail of what moves after few steps; or "content", all from itself.
      video.weight: of the temporal loss, beside content_loss.weight=5 and style_loss.weight=100, of
        pixels from 0 to 255. With 0 and video.start=content each frame is made for itself.
      video.back: which earlier frames a frame is held to, counted back from it. Of several, the
        nearest counts alone where it can be relied on.
      features, content_loss, style_loss, tv_weight, tv_kind, optimizer: as in configs/style.py, of
        which the values are those of its preset neural-style.
    """
    common = {"features": "vgg16", "frames": 24}
    arguments = {name: common | own for name, own in _ARGUMENTS.items()}
    arg = config_lib.parse_preset(arg, arguments)
    config = config_lib.base("style_video")
    config.content = "example"
    config.style = ""
    config.style_weights = ()
    config.style_scale = 1.0
    config.size = arg.size
    config.color = "style"
    config.init_noise = 0.001 / 255
    config.features = {
        "name": arg.features,
        "pool": "max",
        "input": "torchvision",
        "border": "zero",
    }
    style.neural_style(config)
    config.tv_kind = "sum"
    config.init = "noise" if arg.preset == "paper" else "content"
    config.optimizer = {
        "name": "lbfgs",
        "memory": 10,
        "learning_rate": 10 / 255,
        "b1": 0.9,
        "b2": 0.999,
        "clamp": False,
        "average": 0.0,
    }
    config.video = {
        "frames": arg.frames,
        "steps": (arg.first, arg.further),
        "start": "warped" if arg.preset == "paper" else "filled",
        "weight": 1e3,
        "back": (1, 2, 4) if arg.preset == "paper" else (1,),
    }
    config.train.steps = arg.first + (max(arg.frames, 1) - 1) * arg.further
    config.train.steps_per_call = 5
    config.log.every = 20
    config.sample.every = 5 * arg.further
    config.evaluate.every = 5 * arg.further
    config.checkpoint.every = arg.further
    config.lock()
    return config
