# make demo   sets everything up, then does the main job on real data
# make test   sets everything up, then runs all checks and tests
# make docs   the documentation as a site (site/index.html), with pages made from the code and the ledger; no network
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check browser setup docs clean

demo: $(VENV)/.user
	$(BIN)/polytask demo

test: check browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The report is tested in a browser; without one, and without the right to install it, those tests are skipped.
browser:
	command -v chromium > /dev/null || (apt-get -qq update && apt-get -qq install -y chromium) > /dev/null 2>&1 || echo "no chromium: no test in a browser"

setup: $(VENV)/.dev

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

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
