# Everything that a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint install clean

demo: install ## train RaSGAN on embedded images for about two minutes, and score it
	$(BIN)/rgan-train experiment=demo

test: install lint ## lint and tests; needs no network
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[offline,cat,joblib,dev]'
	touch $@

clean: ## removes the environment and the demo's runs
	rm -rf .venv outputs/demo_*
