"""What the tests share. All run offline, on the CPU, and write only into temporary folders."""

import http.server
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small, and two processes at once, are slower with more

import pytest
import torch
from hydra import compose, initialize_config_dir

from rgan_bench.config.schema import Config, LimitsConfig
from rgan_bench.config.validate import config_dir, root_defaults, validate

GOLDEN = Path(__file__).resolve().parent / "golden"
LIMITS = LimitsConfig(**root_defaults()["limits"])

TINY = (
    "data=demo",
    "data.num_images=200",
    "arch.width=2",
    "train.iterations=4",
    "train.batch_size=8",
    "train.log_every=1",
    "train.sample_every=2",
    "train.checkpoint_every=2",
    "fid.features=[pixels]",
    "fid.num_samples=200",
    "fid.batch_size=50",
    "fid.every=2",
    "device=cpu",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in its own folder, with its own caches, and sees tracebacks only if it asks for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RGAN_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """As in a shell. Under nohup, or in the background of a script, tests and what they start find these ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def compose_config() -> Callable[..., Config]:
    def composed(*overrides: str) -> Config:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return validate(compose("config", overrides=list(overrides)))

    return composed


@pytest.fixture
def tiny_config(compose_config: Callable[..., Config]) -> Callable[..., Config]:
    """A run of a second: further overrides as arguments."""
    return lambda *overrides: compose_config(*TINY, *overrides)


@pytest.fixture(scope="session")
def cifar10_jpeg() -> Path:
    """The folder with CIFAR-10 as JPEG archives; users do not have it."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("RGAN_TEST_DATA", root / ".." / "shared" / "data"))
    if not (folder / "cifar10-jpeg-test.zip").exists():
        pytest.skip(f"no cifar10-jpeg-test.zip in {folder} (set RGAN_TEST_DATA)")
    return folder


@dataclass
class FileServer:
    """On this machine; whatever is asked for, it answers with the same file.

    Attributes:
        url: without a slash at its end.
        requests: the paths that were asked for.
    """

    url: str = ""
    content: bytes = b""
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    served = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.content)))
            self.end_headers()
            self.wfile.write(served.content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Runs a command's main in this process: (exit status, stdout, stderr)."""

    def run(main: Callable[[], None], *arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        logging.disable(logging.NOTSET)  # a process of its own would begin so, whatever libraries did in this one
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False
        try:
            main()
            status = 0
        except SystemExit as leaving:
            status = leaving.code or 0
        finally:
            # joblib's workers are used again, and would stay in this test's folder.
            if "joblib.externals.loky" in sys.modules:
                sys.modules["joblib.externals.loky"].get_reusable_executor().shutdown()
            for name in (None, "hydra"):  # Hydra's handlers hold on to the stream of this test
                logging.getLogger(name).handlers.clear()
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has a file that is going to be written atomically be written to a full disk."""

    def fill(path: Path) -> None:
        monkeypatch.setattr("rgan_bench.files.secrets.token_hex", lambda length: "x")
        path.with_name(f".{path.name}.{os.getpid()}-x.tmp").symlink_to("/dev/full")

    return fill
