"""A conditional VAE: both networks see the label (Sohn, Lee and Yan 2015; Kingma et al. 2014,
arXiv:1406.5298, model M2 with labels for all images).

python main.py --config=configs/cvae.py

A minute. Samples have a column for each class, and `analogies` shows the latent of an image as each
class: its style.
"""

from configs import vae


def get_config(arg: str = ""):
    """ARG: that of configs/vae.py, with arch=mlp and by default 8,000 steps.

    Keys: those of configs/vae.py; model.condition is "label". There are few latents, which leave
    what the label says to the label.
    """
    config = vae.get_config(f"steps=8000,{arg}")
    config.model.condition, config.model.latent = "label", 6
    return config
