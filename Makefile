# Two commands do everything on a machine with Python >= 3.11, git and make:
#   make claims    judge the claims (ARGS="--subject FOLDER" and any option of pytest)
#   make test      test the software
PYTHON ?= python3
# What pip is told to get torch: a CPU build by default; the README says how to get another.
TORCH ?= torch==2.13.0
PIP = .venv/bin/python -m pip --disable-pip-version-check
ARGS ?=

.PHONY: claims test check data repro figures paper lock clean

claims: .venv/installed
	.venv/bin/pytest claims/ $(ARGS)

test: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/pytest tests/ -n 2 $(ARGS)

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

data: .venv/installed
	.venv/bin/gpt2-helix measure $(ARGS)

# From weights to the paper, only what has to be done anew. SUBJECT=FOLDER measures GPT-2 from
# there, whatever is recorded; STRICT=1 makes it an error that weights cannot be had.
repro: export PATH := $(CURDIR)/.venv/bin:$(PATH)
repro: export GPT2_HELIX_WEIGHTS = $(SUBJECT)
repro: export GPT2_HELIX_STRICT = $(STRICT)
repro: .venv/installed
	.venv/bin/dvc repro $(if $(SUBJECT)$(STRICT),--force) $(ARGS)
	.venv/bin/gpt2-helix table data/verdicts/gpt2.json

figures: .venv/installed
	for script in $(filter-out figures/style.py,$(wildcard figures/*.py)); do .venv/bin/python $$script || exit 1; done

paper: .venv/installed
	.venv/bin/python paper/typeset.py

# torch comes first, so that no other package asks pip for a larger build of it.
.venv/installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install -qq $(TORCH)
	$(PIP) install -qq -c constraints.txt -e '.[dev,minilm]'
	touch $@

# Pins what a new environment resolves to; torch is left to TORCH.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) install -qq $(TORCH)
	$(PIP) install -qq -e '.[dev,minilm]'
	$(PIP) freeze --exclude-editable | grep -v '^torch==' > constraints.txt
	touch .venv/installed

clean:
	rm -rf .venv
