"""Feed-forward style transfer of clips: the network sees its own picture of the frame before.

    python main.py --config=configs/style_fast_video.py:data=folder:PHOTOS --config.style=A.jpg
    python main.py --config=configs/style_fast_video.py:data=folder:PHOTOS --config.style=A.jpg \\
      --mode=stylize --input=CLIP.mp4 --output=painted

Ruder, Dosovitskiy and Brox 2018, arXiv:1708.04538: what can be relied on of that picture, moved as
the clip moves, is seen beside the frame, and the network learns to go on with it. No clips are
needed to train it: frames are photographs that shift and zoom.
"""

from configs import style_fast
from genjax import config as config_lib

# The temporal loss of `small` weighs eight times that of the authors, so that it is learned in
# thousands of steps and not in tens of thousands.
_ARGUMENTS = {
    "small": style_fast.SMALL,
    "paper": style_fast.FULL | {"steps": 60_000},
}


def get_config(arg: str = ""):
    """ARG: as of configs/style_fast.py, with the presets `small`, which has that one's losses, and
    `paper`, the authors' program, with frames made of photographs alone.

    Keys:
      video.weight: of the temporal loss, of pixels from 0 to 255.
      video.reach: px that frames shift or zoom by, at most.
      video.mix: the shares of examples that shift, that zoom, and that have no frame before. The
        authors' 1 : 1 : 3 has clips in the last place.
      stylize.clip: whether `--mode=stylize` takes several pictures for the frames of a clip; or
        else for pictures of their own, as networks without `video` do.
      style, style_scale, model, features, content_loss, style_loss, tv_weight, tv_kind, optimizer,
        stylize: as in configs/style_fast.py.
    """
    arg = config_lib.parse_preset(arg, _ARGUMENTS, data="folder:")
    paper = arg.preset == "paper"
    config = style_fast.painting(arg, "johnson" if paper else "small")
    if paper:
        config.style_loss.weight = 10.0
        config.style_scale = 1.5
    config.video = {"weight": 50.0 if paper else 400.0, "reach": 16, "mix": (2.0, 2.0, 1.0)}
    config.stylize.clip = True
    config.lock()
    return config
