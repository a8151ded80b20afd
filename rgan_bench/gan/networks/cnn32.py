"""cnn32: the standard CNN of Miyato et al. 2018 (arXiv 1802.05957) for 32×32, as in tables 1 and 2 of 1807.00734."""

from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks.layers import activation_named, choices_of, initialise
from rgan_bench.gan.networks.spectral import add_spectral_norm
from rgan_bench.register import network


@network("cnn32", image_size=32)
def cnn32(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = choices_of(arch)
    return Generator(**generator), Discriminator(**discriminator)


class Generator(nn.Module):
    """z [B, latent_dim] → images [B, 3, 32, 32] in (−1, 1)."""

    def __init__(self, *, latent_dim: int, width: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.project = nn.Linear(latent_dim, 8 * width * 4 * 4)  # no norm and no activation follow
        blocks: list[nn.Module] = []
        for wide, narrow in ((8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width)):
            blocks.append(nn.ConvTranspose2d(wide, narrow, kernel_size=4, stride=2, padding=1))
            if batch_norm:
                blocks.append(nn.BatchNorm2d(narrow))
            blocks.append(activation_named(activation, lambda: nn.ReLU(inplace=True)))
        self.upsample = nn.Sequential(*blocks)
        self.to_rgb = nn.Sequential(nn.Conv2d(width, 3, kernel_size=3, padding=1), nn.Tanh())
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.to_rgb(self.upsample(self.project(z).unflatten(1, (-1, 4, 4))))
        return images


class Discriminator(nn.Module):
    """Packed images [B, 3·pac, 32, 32] → logits [B, 1]."""

    def __init__(self, *, pac: int, width: int, batch_norm: bool, spectral_norm: bool, activation: str) -> None:
        super().__init__()
        self.pac = pac
        layers: list[nn.Module] = []
        # (channels in, channels out, kernel, stride)
        convolutions = (
            (3 * pac, width, 3, 1),
            (width, width, 4, 2),
            (width, 2 * width, 3, 1),
            (2 * width, 2 * width, 4, 2),
            (2 * width, 4 * width, 3, 1),
            (4 * width, 4 * width, 4, 2),
            (4 * width, 8 * width, 3, 1),
        )
        for index, (into, out, kernel, stride) in enumerate(convolutions):
            layers.append(nn.Conv2d(into, out, kernel, stride, padding=1))
            if batch_norm and index < len(convolutions) - 1:
                layers.append(nn.BatchNorm2d(out))
            layers.append(activation_named(activation, lambda: nn.LeakyReLU(0.1, inplace=True)))
        self.features = nn.Sequential(*layers)
        self.judge = nn.Linear(8 * width * 4 * 4, 1)  # free of spectral norm, as in the paper's script
        initialise(self)
        if spectral_norm:
            add_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.judge(self.features(images).flatten(1))
        return logits

    def in_a_row(self) -> list[nn.Module]:
        """The layers, as `forward` applies them."""
        return [*self.features, nn.Flatten(), self.judge]
