"""dcgan: Radford et al. 2016 (arXiv 1511.06434) for 64×64, 128×128 and 256×256, as in table 3 of 1807.00734."""

from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks.layers import activation_named, choices_of, initialise
from rgan_bench.gan.networks.spectral import add_spectral_norm
from rgan_bench.register import network


@network("dcgan256", image_size=256)
@network("dcgan128", image_size=128)
@network("dcgan64", image_size=64)
def dcgan(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = choices_of(arch)
    return Generator(image_size=arch.image_size, **generator), Discriminator(
        image_size=arch.image_size, **discriminator
    )


class Generator(nn.Module):
    """z [B, latent_dim] → images [B, 3, size, size] in (−1, 1)."""

    def __init__(self, *, image_size: int, latent_dim: int, width: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        channels = width * image_size // 8  # at 4×4; halved with each doubling of the size
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, channels, 4, 1, 0, bias=False)]
        while True:
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(activation_named(activation, lambda: nn.ReLU(inplace=True)))
            if channels == width:
                break
            layers.append(nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False))
            channels //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """Packed images [B, 3·pac, size, size] → logits [B, 1].

    No batch norm after the first convolution and the last, and none at all under spectral norm, which then is on every
    convolution.
    """

    def __init__(
        self, *, image_size: int, pac: int, width: int, batch_norm: bool, spectral_norm: bool, activation: str
    ) -> None:
        super().__init__()
        self.pac = pac
        channels = width
        layers: list[nn.Module] = [nn.Conv2d(3 * pac, width, 4, 2, 1, bias=False)]
        layers.append(activation_named(activation, lambda: nn.LeakyReLU(0.2, inplace=True)))
        while channels < width * image_size // 8:
            layers.append(nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False))
            channels *= 2
            if batch_norm and not spectral_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(activation_named(activation, lambda: nn.LeakyReLU(0.2, inplace=True)))
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 0, bias=False))
        initialise(self)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.flatten(1)

    def in_a_row(self) -> list[nn.Module]:
        """The layers, as `forward` applies them."""
        return [*self.layers, nn.Flatten()]
