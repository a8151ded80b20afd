"""mlp2d: perceptrons of three hidden layers, for points of the plane."""

from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks.layers import activation_named, choices_of
from rgan_bench.gan.networks.spectral import add_spectral_norm
from rgan_bench.register import network

HIDDEN = 3
SLOPE = 0.2


@network("mlp2d", image_size=1, of="points", choices={"batch_norm": ("none", "generator")})
def mlp2d(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = choices_of(arch)
    del discriminator["batch_norm"]  # there is none
    return Generator(**generator), Discriminator(**discriminator)


class Generator(nn.Module):
    """z [B, latent_dim] → points [B, 2, 1, 1], anywhere in the plane."""

    def __init__(self, *, latent_dim: int, width: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        layers: list[nn.Module] = []
        for into in (latent_dim, *[width] * (HIDDEN - 1)):
            layers.append(nn.Linear(into, width, bias=not batch_norm))
            layers += [nn.BatchNorm1d(width)] if batch_norm else []
            layers.append(activation_named(activation, lambda: nn.ReLU(inplace=True)))
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, z: Tensor) -> Tensor:
        points: Tensor = self.layers(z)
        return points[:, :, None, None]


class Discriminator(nn.Module):
    """Packed points [B, 2·pac, 1, 1] → logits [B, 1]."""

    each_layer_once = True

    def __init__(self, *, pac: int, width: int, spectral_norm: bool, activation: str) -> None:
        super().__init__()
        self.pac = pac
        layers: list[nn.Module] = []
        for into in (2 * pac, *[width] * (HIDDEN - 1)):
            layers += [nn.Linear(into, width), activation_named(activation, lambda: nn.LeakyReLU(SLOPE, inplace=True))]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))
        if spectral_norm:
            add_spectral_norm(self, linear=True)

    def forward(self, points: Tensor) -> Tensor:
        logits: Tensor = self.layers(points.flatten(1))
        return logits
