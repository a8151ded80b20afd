"""Generators for other programs: what a file says and gives."""

import json
from pathlib import Path

import pytest
import torch

from rgan_bench import load_generator
from rgan_bench.errors import UserError
from rgan_bench.generators.export import export
from rgan_bench.generators.images import open_trained, sample_images
from rgan_bench.run.checkpoint import load_checkpoint, save_checkpoint
from tests.generators.made import Tiny, made_run

safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture
def run(tiny_config: Tiny) -> Path:
    return made_run(tiny_config("fid.batch_size=10", "ema.half_life=20"))


@pytest.mark.parametrize("ema", [False, True])
def test_safetensors_are_read_back_as_what_they_were(run: Path, ema: bool) -> None:
    if ema:  # unlike the generator itself
        content = load_checkpoint(run / "checkpoints" / "last.pt")
        content["generator_ema"] = {name: tensor * 2 for name, tensor in content["generator"].items()}
        save_checkpoint(run / "checkpoints" / "last.pt", content)
    said = export(open_trained(run, ema=ema), Path("g.safetensors"))
    assert said == "read back and compared: images differ by 0 at most"
    z = torch.randn(8, 128)
    for batch_norm in ("batch", "running"):
        wanted, found = (
            load_generator(path, batch_norm=batch_norm, ema=average)
            for path, average in ((run, ema), ("g.safetensors", False))
        )
        assert torch.equal(wanted(z), found(z))
    assert torch.equal(sample_images(run, 4, ema=ema), sample_images("g.safetensors", 4, ema=ema))


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_onnx_gives_the_same_for_batches_of_any_size(run: Path, batch_norm: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert "compared" in export(open_trained(run, batch_norm=batch_norm), Path("g.onnx"))
    session = runtime.InferenceSession("g.onnx", providers=["CPUExecutionProvider"])
    generator = load_generator(run, batch_norm=batch_norm)
    for count in (1, 7, 25):
        z = torch.randn(count, 128)
        (found,) = session.run(["images"], {"z": z.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), generator(z), rtol=1e-4, atol=1e-5)
    said = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (said["iteration"], said["batch_norm"], said["generator"]) == (4, batch_norm, "raw")
    assert said["config"]["arch"]["name"] == "cnn32"
    assert str(Path(__file__).parents[2]).encode() not in Path("g.onnx").read_bytes()  # no paths of this machine


def test_what_gives_something_else_is_not_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = safetensors.load
    monkeypatch.setattr(safetensors, "load", lambda content: {k: v * 1.5 for k, v in load(content).items()})
    with pytest.raises(UserError, match=r"g\.safetensors: not written, since .* differs from the generator by"):
        export(open_trained(run), Path("g.safetensors"))
    assert not list(Path().glob("*g.safetensors*"))


def test_other_safetensors_are_refused(run: Path) -> None:
    Path("text.safetensors").write_text("text")
    safetensors.save_file({"x": torch.zeros(2)}, "other.safetensors")
    for name, message in (
        ("text", "cannot be read as safetensors"),
        ("other", r"not written by rgan-sample --export \(its metadata lack 'config'\)"),
        ("nowhere", "there is no such file"),
    ):
        with pytest.raises(UserError, match=rf"^{name}\.safetensors: {message}"):
            load_generator(f"{name}.safetensors")


def test_a_missing_package_is_named_with_its_remedy(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(UserError, match=r"--export g\.safetensors: .*safetensors.*pip install 'rgan-bench\[export\]'"):
        export(open_trained(run), Path("g.safetensors"))
