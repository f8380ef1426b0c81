# GNU make 3.81 and a POSIX sh are enough. Set-up goes to stderr: `make -s chat < lines.txt` prints replies only.
SHELL = /bin/sh
PYTHON_IN_VENV = .venv/bin/python
ARGS =

.PHONY: help chat test lint lock clean
.NOTPARALLEL:

help:
	@echo 'make chat          talk to Joey in the terminal (ARGS="--persona chandler" hands options on)'
	@echo 'make test          ruff, mypy and every test'
	@echo 'make lint          ruff and mypy alone'
	@echo 'make lock          remake constraints.txt from pyproject.toml'
	@echo 'make clean         remove .venv and what tools left behind'
	@echo 'TORCH=cuda         with chat or test: the CUDA build of torch (several GB) instead of the CPU one'
	@echo 'PYTHON=python3.12  with chat or test: the Python to make .venv with'

chat:
	@sh scripts/setup.sh chat >&2
	@sh scripts/foreground.sh .venv/bin/echochamber chat $(ARGS)

test: lint
	$(PYTHON_IN_VENV) -m pytest $(ARGS)

lint:
	@sh scripts/setup.sh test >&2
	$(PYTHON_IN_VENV) -m ruff check
	$(PYTHON_IN_VENV) -m ruff format --check
	$(PYTHON_IN_VENV) -m mypy

lock:
	@sh scripts/setup.sh test >&2
	sh scripts/lock.sh

clean:
	rm -rf .venv .venv.old build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name node_modules -prune -o -name __pycache__ -type d -print | xargs rm -rf
