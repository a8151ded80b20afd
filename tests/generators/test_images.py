"""Images of trained generators: which latents they come from, and what normalises them."""

from pathlib import Path

import pytest
import torch

from rgan_bench import load_generator
from rgan_bench.errors import UserError
from rgan_bench.generators.images import fixed, from_latents, latents, open_trained, sample_images
from rgan_bench.rng import stream
from rgan_bench.run.checkpoint import load_checkpoint, save_checkpoint
from rgan_bench.scoring.sampling import to_uint8
from tests.generators.made import POINTS, Tiny, made_run


@pytest.fixture
def run(tiny_config: Tiny) -> Path:
    return made_run(tiny_config("fid.batch_size=10"))


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_they_are_those_of_the_seeds_latents(run: Path, batch_norm: str) -> None:
    images = sample_images(run, 12, seed=3, batch_norm=batch_norm, device="cpu")
    assert (images.dtype, images.shape) == (torch.uint8, (12, 3, 32, 32))
    generator = load_generator(run).train(batch_norm == "batch")
    with torch.no_grad():
        batches = [generator(torch.randn(10, 128, generator=stream(3, "sample/latent", index))) for index in range(2)]
    assert torch.equal(images, to_uint8(torch.cat(batches))[:12])
    assert torch.equal(images[:7], sample_images(run, 7, seed=3, batch_norm=batch_norm, device="cpu"))
    assert not torch.equal(images[:7], sample_images(run, 7, batch_norm=batch_norm, device="cpu"))


@pytest.mark.parametrize("of", [("fid.batch_size=10",), (*POINTS, "arch=mlp2d", "fid.batch_size=10")], ids=["2d", "1d"])
def test_fixed_statistics_are_those_of_the_reference_batch(tiny_config: Tiny, of: tuple[str, ...]) -> None:
    trained = open_trained(made_run(tiny_config(*of)))
    generator = fixed(trained, 5)
    z = latents(trained, 10, 5, "sample/reference")
    with torch.no_grad():
        alone = torch.cat([generator(each[None]) for each in z])
        wanted = load_generator(Path("run"), batch_norm="batch")(z)
    torch.testing.assert_close(alone, wanted)
    assert not torch.allclose(trained.generator(z), wanted, atol=1e-3)  # the generator itself keeps its own


def test_load_generator_normalises_by_the_batch_and_keeps_its_running_statistics(run: Path) -> None:
    generator, plain = load_generator(run, batch_norm="batch"), load_generator(run)
    z = torch.randn(8, 128)
    torch.testing.assert_close(generator(z), load_generator(run).train()(z))
    torch.testing.assert_close(generator.eval()(z), plain(z))  # as they were before
    assert not torch.allclose(generator.train()(z), plain(z), atol=1e-3)
    with pytest.raises(UserError, match="batch_norm='none': must be batch or running"):
        load_generator(run, batch_norm="none")


def test_what_is_not_finite_is_refused(run: Path) -> None:
    path = run / "checkpoints" / "last.pt"
    content = load_checkpoint(path)
    content["generator"]["project.weight"][0, 0] = float("nan")
    save_checkpoint(path, content)
    with pytest.raises(UserError, match=r"last\.pt: cannot be sampled: .* not finite"):
        sample_images(run, 4, device="cpu")
    content["generator"]["project.weight"][0] = 3e38  # finite, and what comes of it is not
    save_checkpoint(path, content)
    trained = open_trained(run)
    with pytest.raises(UserError, match="not finite"):
        sample_images(run, 4, device="cpu")
    with pytest.raises(UserError, match="not finite"):
        from_latents(trained, trained.generator, torch.randn(4, 128))
    with pytest.raises(UserError, match="num=0: must be at least 1"):
        sample_images(run, 0)
