"""A generator alone, for other programs: its weights as safetensors, or what it computes as ONNX."""

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rgan_bench import __version__
from rgan_bench.config.identity import plugins_used
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically
from rgan_bench.generators.images import Trained, latents
from rgan_bench.run.checkpoint import generator_of
from rgan_bench.run.exported import missing
from rgan_bench.scoring.sampling import set_batch_norm

TOLERANCE = 1e-3  # of [−1, 1], or of the largest value: an eighth of a step of 8 bits


def metadata(trained: Trained) -> dict[str, str]:
    """What a file says of its generator; each value is JSON, as both formats keep nothing but text."""
    settings = asdict(trained.config)
    said = {
        "config": settings,
        "plugins": plugins_used(settings),
        "iteration": trained.iteration,
        "generator": trained.which,
        "batch_norm": trained.batch_norm,
        "batch_size": trained.batch_size,
        "rgan_bench": __version__,
    }
    return {name: json.dumps(value) for name, value in said.items()}


def export(trained: Trained, path: Path) -> str:
    """Writes a .safetensors or .onnx file, once what it gives has been compared with what the generator gives.

    Args:
        trained: on the CPU.

    Returns:
        How it was checked, for people.

    Raises:
        OSError: it cannot be written; `path` is as it was.
        UserError: a package is missing, the network cannot be exported, or the file gives something else.
    """
    try:
        content, check = (_as_safetensors if path.suffix == ".safetensors" else _as_onnx)(trained)
    except ImportError as error:
        raise UserError(f"--export {path}: {missing(error)}") from error
    said = _compared(trained, check, path) if check else "not checked, since onnxruntime is not installed"
    write_atomically(path, lambda file: file.write(content))
    return said


Forward = Callable[[Tensor], Tensor]


def _as_safetensors(trained: Trained) -> tuple[bytes, Forward]:
    """The whole state, so that either mode of batch norm can be chosen from the file."""
    library = importlib.import_module("safetensors.torch")
    state = {name: tensor.contiguous() for name, tensor in trained.generator.state_dict().items()}
    content: bytes = library.save(state, metadata=metadata(trained))
    read = {"generator": library.load(content)}
    return content, set_batch_norm(generator_of(read, trained.config, trained.path), trained.batch_norm)


def _as_onnx(trained: Trained) -> tuple[bytes, Forward | None]:
    """z [batch, latent_dim] → images [batch, 3, H, W] in [−1, 1], or points [batch, 2, 1, 1], for batches of any size.

    Batch statistics are part of what is computed: an image depends on its batch, as it does in PyTorch.
    """
    importlib.import_module("onnxscript")  # else torch says that it lacks it, in its own words
    strip = importlib.import_module("onnx_ir.passes.common").ClearMetadataAndDocStringPass()
    generator = _in_its_mode(trained)
    z = latents(trained, trained.batch_size, 0, "export/latent")
    try:
        with _without_chatter():
            program = torch.onnx.export(
                generator,
                (z,),
                dynamo=True,
                input_names=["z"],
                output_names=["points" if trained.of_points else "images"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        assert program is not None  # with dynamo=True
        strip(program.model)  # of the lines of source that each node came from, with paths of this machine
        program.model.metadata_props.update(metadata(trained))
        content: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # whatever a plugin's network does that ONNX has no word for
        name = trained.config.arch.name
        raise UserError(
            f"{trained.path}: arch={name} cannot be exported as ONNX ({one_line(error)[:200]}); .safetensors holds any"
        ) from error
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return content, None
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return content, lambda z: torch.from_numpy(session.run(None, {"z": z.numpy()})[0])


def _in_its_mode(trained: Trained) -> nn.Module:
    return set_batch_norm(trained.generator, trained.batch_norm)


def _compared(trained: Trained, read: Forward, path: Path) -> str:
    """
    Raises:
        UserError: what was read makes other images than the generator.
    """
    generator, largest = _in_its_mode(trained), 0.0
    for count in (trained.batch_size, max(2, trained.batch_size // 3)):
        z = latents(trained, count, 0, "export/check")
        with torch.no_grad():
            wanted, found = generator(z), read(z)
        difference = (found - wanted).abs().max().item() / max(1.0, wanted.abs().max().item())
        largest = max(largest, difference)
        if not difference <= TOLERANCE:
            raise UserError(
                f"--export {path}: not written, since what was exported differs from the generator by {difference:.2g}"
            )
    return f"read back and compared: images differ by {largest:.1g} at most"


@contextmanager
def _without_chatter() -> Iterator[None]:
    """The exporter warns of what is meant here, such as a network in train mode."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
