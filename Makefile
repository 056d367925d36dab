# Everything a user needs: make report, make test, make lab. See README.md for Windows / conda.
PYTHON ?= python3
VENV   ?= .venv
UV     := uv==0.13.9
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never

.PHONY: report test test-simulation lab notebooks sample lint speed lock clean

INGESTED := data/ingested

report: $(READY)          ## take in the sample's raw files, run the month on them and publish it under reports/
	$(BIN)/kenpo ingest data/sample/raw --into $(INGESTED) --key data/sample/raw/sample.key
	cp data/sample/protocol.toml data/sample/kpi_published.csv $(INGESTED)/
	$(BIN)/kenpo run --data $(INGESTED)

test: $(READY)            ## unit, authority, property, report and notebook tests
	$(BIN)/ruff check . && $(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

test-simulation: $(READY) ## bias, coverage and false claims of every design, ranks and small areas in known worlds (about 6 minutes)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.simulation.acceptance
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.simulation.small_areas

lab: $(READY)             ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=. notebooks

notebooks: $(READY)       ## re-execute the committed notebooks on the sample data
	$(BIN)/python -m tests.execute_notebooks

sample: $(READY)          ## regenerate data/sample (seeded), its raw files and what ingest says of them
	$(BIN)/python -m tests.refresh_sample

lint: $(READY)
	$(BIN)/ruff check --fix . && $(BIN)/ruff format src tests && $(BIN)/mypy

speed: $(READY)           ## ratios against hand-written polars, DuckDB SQL and pandas
	$(BIN)/python -m tests.speed

lock:                     ## resolve requirements.lock anew (needs uv on the PATH)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

# USE_PIP=1 installs the same hashed lock with pip alone, where uv is not allowed.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef USE_PIP
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
else
	$(BIN)/python -m pip install --quiet $(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
endif
	touch $(READY)

clean:
	rm -rf $(VENV)
