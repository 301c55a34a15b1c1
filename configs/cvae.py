"""A conditional VAE: both networks see the label (Sohn, Lee and Yan 2015; Kingma et al. 2014,
arXiv:1406.5298, model M2 with labels for all images).

python main.py --config=configs/cvae.py

Samples have a column for each class, and `analogies` shows a latent as each class: its style.
"""

from configs import vae


def get_config(arg: str = ""):
    """ARG: that of configs/vae.py, with arch=mlp.

    Keys: those of configs/vae.py; model.condition is "label".
    """
    config = vae.get_config(arg)
    with config.unlocked():
        config.model.condition = "label"
        config.model.latent = 10
    return config
