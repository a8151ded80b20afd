"""`python -m rgan_bench` is `rgan-train`."""

from rgan_bench.cli.start import train

train()
