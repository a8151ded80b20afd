"""resize32: a small CNN for 32×32 that learns quickly, without spectral norm.

Its generator doubles the size by nearest neighbours before a convolution, which leaves no checkerboard as transposed
convolutions do (Odena et al. 2016, doi 10.23915/distill.00003). Its discriminator is that of cnn32. Weights start after
He et al. 2015 (arXiv 1502.01852): from N(0, 0.02) signals would fade in narrow networks that nothing normalises.
"""

from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks import cnn32
from rgan_bench.gan.networks.layers import activation_named, choices_of
from rgan_bench.register import network

TO_RGB = 0.3  # gain of the last layer: below 1, so that the first images are not all at the ends of tanh


@network("resize32", image_size=32, choices={"spectral_norm": (False,)})
def resize32(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    for_generator, for_discriminator = choices_of(arch)
    discriminator = cnn32.Discriminator(**for_discriminator)
    initialise(discriminator, slope=0.1)
    nn.init.xavier_normal_(discriminator.judge.weight)
    return Generator(**for_generator), discriminator


class Generator(nn.Module):
    """z [B, latent_dim] → images [B, 3, 32, 32] in (−1, 1)."""

    def __init__(self, *, latent_dim: int, width: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim

        def normalised(channels: int) -> list[nn.Module]:
            norm: list[nn.Module] = [nn.BatchNorm2d(channels)] if batch_norm else []
            return [*norm, activation_named(activation, lambda: nn.ReLU(inplace=True))]

        self.project = nn.Linear(latent_dim, 8 * width * 4 * 4)
        layers = normalised(8 * width)
        for wide, narrow in ((8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width)):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 3, padding=1), *normalised(narrow)]
        self.upsample = nn.Sequential(*layers)
        last = nn.Conv2d(width, 3, kernel_size=3, padding=1)
        self.to_rgb = nn.Sequential(last, nn.Tanh())
        initialise(self, slope=0)
        nn.init.xavier_normal_(last.weight, TO_RGB)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.to_rgb(self.upsample(self.project(z).unflatten(1, (-1, 4, 4))))
        return images


def initialise(network: nn.Module, *, slope: float) -> None:
    """Weights N(0, 2 / (1 + slope²) / fan in) for a leaky ReLU of that slope, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.bias is not None
            nn.init.kaiming_normal_(module.weight, slope)
            nn.init.zeros_(module.bias)
