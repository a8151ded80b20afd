# rgan_bench in a container: docker build -t rgan_bench . && docker run rgan_bench    (make demo; docs/clusters.md)
# For NVIDIA GPUs: --build-arg BASE=nvidia/cuda:13.0.2-base-ubuntu24.04. PyTorch's packages bring the rest of CUDA along.
ARG BASE=python:3.12-slim
FROM ${BASE}

# Where pip looks besides its usual index, for example for builds of PyTorch without CUDA.
ARG PIP_EXTRA_INDEX_URL
# Of the project: what is installed besides what it always needs.
ARG EXTRAS=offline

# Their versions are the distribution's.
# hadolint ignore=DL3008
RUN export DEBIAN_FRONTEND=noninteractive && apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && { command -v python3 > /dev/null || apt-get install --yes --no-install-recommends python3-venv; } \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
# Dependencies first: they are large, and change more seldom than what is below. Of the package pip asks for its version
# only, and whether the rest is there.
COPY Makefile pyproject.toml constraints.txt ./
COPY rgan_bench/__init__.py rgan_bench/
RUN mkdir configs hydra_plugins && touch README.md LICENSE && PIP_NO_CACHE_DIR=1 make install EXTRAS="${EXTRAS}"
COPY . .
# A checkout's files may be younger than what was installed for them, which make would repeat, and for their owner alone.
RUN touch .venv/.installed \
    && find . -path ./.venv -prune -o -exec chmod a+rX {} + \
    && .venv/bin/python -m compileall -q rgan_bench hydra_plugins

# Whoever runs it, also as another user (--user), writes here and nowhere else. USER: torch asks for the name.
RUN useradd --uid 10001 rgan && mkdir -m 1777 outputs data /cache
ENV PATH=/app/.venv/bin:$PATH HOME=/cache USER=rgan RGAN_BENCH_CACHE=/cache/rgan_bench TORCH_HOME=/cache/torch
USER 10001
VOLUME ["/app/outputs", "/app/data", "/cache"]
CMD ["make", "demo"]
