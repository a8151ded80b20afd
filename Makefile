# Everything that a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS ?= offline,cat,joblib,slurm,optuna,export,pandas,tensorboard,wandb,docs,dev

.PHONY: demo demo-table demo-toy test lint docs install clean

demo: install ## train a relativistic GAN on embedded images for about two minutes, and score it
	$(BIN)/rgan-train experiment=demo

demo-table: install ## a small sweep, four losses and two seeds, and the page that compares them: about two minutes
	$(BIN)/rgan-train -m experiment=demo loss=sgan,rasgan,lsgan,ralsgan loss.penalty=r1r2 seed=1,2 arch.width=8 \
		train.iterations=400 ema.half_life=0 output_root=outputs/demo_table
	$(BIN)/rgan-table outputs/demo_table --table sweep
	$(BIN)/rgan-table outputs/demo_table --table sweep --format html --out outputs/demo_table.html

# With the 8 dimensions of z, more losses fail without a penalty than with the 2 that are the default.
demo-toy: install ## losses and penalties on eight modes in a ring, and the picture that compares them: about two minutes
	$(BIN)/rgan-train -m data=ring8 loss=sgan,rsgan,hinge,wgangp loss.penalty=none,gp,r1r2 loss.penalty_weight=0.1 \
		arch.latent_dim=8 train.checkpoint_every=300 train.keep=4 train.sample_every=null fid.every=3000 \
		hydra/launcher=joblib hydra.launcher.n_jobs=2 output_root=outputs/demo_toy
	$(BIN)/python -m scripts.toy_figure outputs/demo_toy --out outputs/demo_toy

test: install lint ## lint, types and tests; needs no network
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Without --quiet, with which a broken link would be no error.
docs: install ## the documentation as a site: site/index.html, which fetches nothing
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

clean: ## removes the environment, the site and the demo's runs
	rm -rf .venv site outputs/demo_* outputs/shapes_*
