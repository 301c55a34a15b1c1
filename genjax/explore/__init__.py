"""What `--mode=sample` makes of a trained run's latents, for any family: see `genjax.latents`."""
