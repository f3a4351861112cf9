# Needs Python 3.11-3.13 and make, nothing else. `make test PYTHON=python3.12` picks another Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart install test lint format clean

quickstart: install
	@$(BIN)/penstock run configs/vision/digits.yaml
	@$(BIN)/penstock report
	@echo "Open this file in a browser: it shows all of the run and needs no network."

test: $(VENV)/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pytest

install: $(VENV)/installed

# Compiled once here: importing TensorFlow from sources alone takes most of a minute, every time.
$(VENV)/installed: setup.cfg constraints.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and 'Penstock needs Python 3.11 to 3.13; this is ' + sys.version.split()[0] + '. Name another: make PYTHON=python3.12')"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 1 GB to download) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

$(VENV)/tested: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@

lint: $(VENV)/tested
	$(BIN)/ruff check .

format: $(VENV)/tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info
