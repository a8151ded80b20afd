"""The losses under the name by which programs import them; they are defined in rgan_bench.gan.losses."""

from rgan_bench.gan.losses import Loss, get_loss

__all__ = ["Loss", "get_loss"]
