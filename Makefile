# Three commands on a machine with Python >= 3.11, git and make:
#   make claims    judge the claims, on GPT-2 small and on one model that ships of each kind
#                  (ARGS="--subject FOLDER" and any option of pytest: on that alone)
#   make repro     from weights to data, figures and the paper: only what has changed
#   make test      test the software
PYTHON ?= python3
# What pip is told to get torch; ARTIFACT.md says how to get another build.
TORCH ?= torch==2.13.0
PIP = .venv/bin/python -m pip --disable-pip-version-check
ARGS ?=
TRAINED = mini mini-1 mini-2 text text-1 text-2

.PHONY: claims test check data repro up-to-date figures notebook paper trained $(TRAINED) lock clean

# GPT-2 small, then one model of each kind that ships: the verdicts on these must be as recorded.
claims: .venv/installed
	.venv/bin/pytest claims/ $(ARGS)
ifeq ($(ARGS),)
	@mkdir -p build
	.venv/bin/pytest claims/ -q --subject mini --expect data/verdicts/mini.json \
	  --claims-json build/mini.json
	.venv/bin/pytest claims/ -q --subject text --expect data/verdicts/text.json \
	  --claims-json build/text.json
	@.venv/bin/gpt2-helix show build/mini.json build/text.json
endif

# Compiled modules are kept, as the tests start many processes.
test: .venv/installed
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 .venv/bin/pytest tests/ -n 2 --dist loadgroup $(ARGS)

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

data: .venv/installed
	.venv/bin/gpt2-helix record $(ARGS)
ifeq ($(ARGS),)
	.venv/bin/python -m pipeline curves --subject gpt2 --into data/gpt2
endif

# From weights to the paper, only what changes affect. SUBJECT=FOLDER measures GPT-2 small from
# there even if nothing changed; STRICT=1 makes it an error that weights are not available.
repro: export PATH := $(CURDIR)/.venv/bin:$(PATH)
repro: export GPT2_HELIX_WEIGHTS = $(SUBJECT)
repro: export GPT2_HELIX_STRICT = $(STRICT)
repro: .venv/installed
	$(if $(SUBJECT)$(STRICT),.venv/bin/dvc repro --force --single-item weights measure@gpt2)
	.venv/bin/dvc repro $(ARGS)
	.venv/bin/gpt2-helix publish --readme README.md data/verdicts/*.json

# Declare all that is in the working tree to be up to date, without running any stage: for records,
# figures and paper that were made by hand.
up-to-date: export PATH := $(CURDIR)/.venv/bin:$(PATH)
up-to-date: .venv/installed
	rm -f dvc.lock
	.venv/bin/python -m pipeline available gpt2 --into build/weights/gpt2.json
	.venv/bin/dvc commit --force

# Train the models in data/ again, each on one core; interrupted training goes on. `make trained
# -j2` trains two at a time, `make mini` the first alone.
trained: $(TRAINED)

$(TRAINED): .venv/installed
	.venv/bin/python -m pipeline train $@
	.venv/bin/dvc commit --force train@$(firstword $(subst -, ,$@))

figures: .venv/installed
	.venv/bin/python figures/draw.py

# Run the notebook again, and keep its outputs.
notebook: .venv/installed
	.venv/bin/jupyter execute --inplace notebooks/tour.ipynb

paper: .venv/installed
	.venv/bin/python paper/typeset.py

# torch comes first, so that no other package asks pip for a larger build of it.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "PYTHON: expected Python 3.11 or later, found $$($(PYTHON) -V 2>&1)" >&2; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install -qq $(TORCH)
	$(PIP) install -qq -c constraints.txt -e '.[dev,minilm,survey]'
	touch $@

# Pins what a new environment resolves to; torch is left to TORCH.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) install -qq $(TORCH)
	$(PIP) install -qq -e '.[dev,minilm,survey]'
	$(PIP) freeze --exclude-editable | grep -v '^torch==' > constraints.txt
	touch .venv/installed

clean:
	rm -rf .venv
