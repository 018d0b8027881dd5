# Every target makes its own environment in .venv first. Needs Python >= 3.11 and its venv module.

PYTHON ?= python3
CORES ?= 2
VENV := .venv
STAMP := $(VENV)/.installed
# Snakemake looks for work once per timespan and ends with one: for hundreds of jobs, seconds will do.
SNAKEMAKE := snakemake --cores $(CORES) --max-jobs-per-timespan 1000/5s
# A file's tests share what they have made: they stay together. Those that run the workflow take
# longest and go first.
PYTEST := pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder
DEMO := --configfile config/config.yaml config/demo.yaml

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help demo report test test-full test-browser test-slurm smoke-slurm results bench lint unlock clean
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Error: $(PYTHON) is older than 3.11; call make PYTHON=python3.12, say."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## simulated promoters and expression, small models, attacks, a report: minutes, offline
	$(SNAKEMAKE) --quiet rules $(DEMO)
	$(SNAKEMAKE) --quiet rules $(DEMO) --report results/demo/report.html
	@echo
	@echo "Made: simulated promoters, a small DNABERT-2 and a CNN, attacks on both, certificates,"
	@echo "two rounds of adversarial training with a control; simulated tumours and COVID-19 cells,"
	@echo "five models of expression, FIMBA, an autoencoder that evades and poisons; detectors, and"
	@echo "who evades them; tables (results/demo/tables/) and figures (results/demo/figures/)."
	@echo "Open results/demo/report.html in a browser. What came out stands on its first page."

report: $(STAMP)  ## of the last run, whatever it was
	@asked=$$(ls -t results/*/config.json 2>/dev/null | head -n 1); \
	test -n "$$asked" || { echo "Error: results/ has no run; call make demo, or snakemake."; exit 1; }; \
	run=$$(dirname "$$asked"); \
	$(SNAKEMAKE) --quiet rules --configfile config/config.yaml "$$asked" --report "$$run/report.html" && \
	echo "Open $$run/report.html in a browser. What came out stands on its first page."

test: $(STAMP)  ## all tests that need neither real data nor a cluster
	$(PYTEST) -m "not real and not slurm and not slow and not browser" tests/workflow tests/unit
	@echo "Long tests, real data, a browser and a cluster: make test-full."

test-full: $(STAMP)  ## also the long ones, those on the real data of ../shared, and on a cluster
	$(PYTEST) -m "not slurm and not browser" tests/workflow tests/unit
	$(MAKE) test-browser
	$(MAKE) test-slurm

test-browser: demo  ## opens the demo's report in headless Chromium (Debian's chromium), with the network cut
	pytest -m browser tests/browser
	@echo "Look at results/screenshots/."

test-slurm: $(STAMP)  ## on a SLURM of one node that the tests start: as root, Debian's slurm-wlm, slurmdbd, mariadb-server, munge
	pytest -m slurm tests/slurm

smoke-slurm: $(STAMP)  ## the demo's every rule once on that SLURM
	pytest -m slurm tests/slurm/test_demo.py

results: $(STAMP)  ## the experiments on real data that the README quotes; can be resumed
	@for overlay in config/results/*.yaml; do \
	    test -e "$$overlay" || { echo "Error: config/results/ has no experiment."; exit 1; }; \
	    echo "$$overlay"; \
	    $(SNAKEMAKE) --quiet rules --configfile config/config.yaml "$$overlay" || exit 1; \
	done
	@echo "Look at results/*/tables/attacks.csv, verdict.csv, fimba.csv and best_detector.csv, and at"
	@echo "results/*/figures/."

.PHONY: docs
docs: $(STAMP)  ## docs/results.md and the README's results from docs/results, config/reference.md from the schema
	python docs/render.py
	python docs/settings.py
	@echo "Look at git diff: README.md, docs/results.md, config/reference.md."

bench: $(STAMP)  ## speed, each figure beside its limit on the same machine in the same run
	python tests/bench/oracle_throughput.py --sequences 32
	python tests/bench/attack_throughput.py
	python tests/bench/genetic_attack.py --seconds 60
	python tests/bench/overhead.py
	python tests/bench/tokenisation.py
	python tests/bench/round_evaluation.py
	python tests/bench/fimba_loop.py --samples 1000
	python tests/bench/importance.py
	python tests/bench/startup.py
	python tests/bench/jobs.py
	python tests/bench/memory.py
	python tests/bench/precision.py --sequences 40
	python tests/bench/demo_times.py
	python tests/bench/leakage_groups.py promoters variants
	python tests/bench/toil_reading.py 20000 2000
	python tests/bench/reading_rows.py
	python tests/bench/detectors.py
	python tests/bench/shards.py --sequences 48 --repeats 1
	@python tests/bench/table.py

lint: $(STAMP)  ## format and static checks
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	snakemake --lint
	snakemake --lint $(DEMO)
	mypy
	@echo "All clean."

unlock: $(STAMP)  ## remove the lock that a killed snakemake left
	snakemake --unlock --cores 1

clean:  ## remove the environment and caches; results and downloads stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info workflow/scripts/*.egg-info
