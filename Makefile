# make demo   sets everything up, then does the main job on real data
# make test   sets everything up, then runs all checks and tests
# make docs   a page a system (docs/systems) and the page of all claims (docs/claims.html), from the code and the ledger
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check setup docs clean

demo: $(VENV)/.user
	$(BIN)/polytask demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadscope

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.dev

docs: $(VENV)/.dev
	$(BIN)/python scripts/make_pages.py
	$(BIN)/polytask claims report --out docs/claims.html

# constraints.txt pins every package, so that every machine gets the same set.
$(VENV)/.user: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.user requirements-dev.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) runs
