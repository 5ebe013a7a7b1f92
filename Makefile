# make figures: everything at scale quick, and every recorded figure and comparison redrawn. make help: the rest.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(abspath $(VENV))/bin:$(PATH)
# One thread a job: jobs run side by side, and the thread count changes the last bits of a result.
export OMP_NUM_THREADS ?= 1
SNAKEMAKE := snakemake
# Tests, on up to four cores: each process holds torch.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: help figures paper cluster test bench lint format report readme clean

help:
	@echo "make figures   run every experiment at scale quick; redraw all recorded figures and comparisons"
	@echo "make paper     fetch the public data and run scale paper; goes on where it was stopped"
	@echo "make cluster   run scale cluster on this machine: what needs GPUs (README.md has Slurm)"
	@echo "make test      the tests          make lint    style and types"
	@echo "make bench     speed and memory against their targets, into results/bench.csv"
	@echo "make report    report.html: comparison and figures on one page"
	@echo "make readme    the generated parts of README.md"
	@echo "make clean     remove what scale quick made; recorded results and the environment stay"

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another: make figures PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make an environment with pip in it; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

figures: $(STAMP)
	$(SNAKEMAKE)
	@echo
	@echo "figures      paper_figures/quick/ (run now), paper_figures/paper/ (redrawn from results/paper)"
	@echo "comparison   results/quick/comparison.csv, results/paper/comparison.csv"
	@echo "report       report.html (open it in a browser)"

paper: $(STAMP)
	$(SNAKEMAKE) --config scale=paper
	@echo "results are in results/paper, figures in paper_figures/paper, the report in report.html"

cluster: $(STAMP)
	$(SNAKEMAKE) --config scale=cluster

test: $(STAMP)
	python -m pytest $(SIDE_BY_SIDE)

lint: $(STAMP)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint
	mypy

format: $(STAMP)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

bench: $(STAMP)
	python -m repro bench

report: $(STAMP)
	$(SNAKEMAKE) report
	@echo "open report.html in a browser"

readme: $(STAMP)
	python -m repro readme

clean:
	rm -rf results/quick paper_figures/quick report.html logs .snakemake
