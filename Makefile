# The two commands of the README are `make demo` and `make test`; each makes its environment first.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Idle threads sleep instead of spinning, so that shared cores are not wasted.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test check docs linkcheck schema bench bench-tests bench-training bench-judging format clean

demo: $(READY)
	$(BIN)/pushforward demo --out demo --force

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src/pushforward -o testpaths= -p no:cacheprovider
	$(BIN)/python -m pip check

# EXAMPLES=none leaves the gallery's scripts unrun. REPOSITORY=https://... links files of the repository to there.
docs: $(READY)
	EXAMPLES=$(EXAMPLES) REPOSITORY=$(REPOSITORY) $(BIN)/python -m sphinx -W --keep-going -n -q -j auto docs docs/_build/html
	$(BIN)/python docs/_ext/check_links.py docs/_build/html

linkcheck: $(READY)  # external links; needs the network
	EXAMPLES=none $(BIN)/python -m sphinx -b linkcheck -q docs docs/_build/linkcheck

schema: $(READY)  # after a field of a result was added
	$(BIN)/python -c "import json; from pushforward.evaluation.schema import json_schema as schema; print(json.dumps(schema(), indent=1))" > docs/schema/compare-1.json

bench: $(READY)
	for script in benchmarks/bench_mmd.py benchmarks/bench_tables.py; do \
	  $(BIN)/python $$script || exit 1; done

bench-training: $(READY)
	$(BIN)/python benchmarks/bench_modes.py leading
	$(BIN)/python benchmarks/bench_modes.py cross
	$(BIN)/python benchmarks/bench_modes.py page
	$(BIN)/python benchmarks/bench_fgan.py
	$(BIN)/python benchmarks/bench_flow.py
	$(BIN)/python benchmarks/bench_diagnostics.py
	$(BIN)/python benchmarks/bench_stopping.py

bench-tests: $(READY)
	$(BIN)/python benchmarks/bench_tests_calibration.py
	$(BIN)/python benchmarks/bench_tests_power.py
	$(BIN)/python benchmarks/bench_tests_speed.py
	$(BIN)/python benchmarks/bench_tests_report.py

bench-judging: $(READY)  # bench_fidelity.py and bench_neighbours.py beside these: they need other libraries' environments
	$(BIN)/python benchmarks/bench_faults.py
	$(BIN)/python benchmarks/bench_sanity.py
	$(BIN)/python benchmarks/bench_intervals.py
	$(BIN)/python benchmarks/bench_scale.py --compare

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev --group docs
	@! $(BIN)/python -m pip list --format=freeze | grep -iE '^(torchvision|nvidia-)' || \
	  { echo "torchvision or an nvidia package came in: see constraints.txt"; exit 1; }
	@touch $(READY)

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
