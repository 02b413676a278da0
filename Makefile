# Everything a person runs starts here; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= trainer-daemon
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

# hundreds of processes import the same modules: what one has compiled is kept for the others, whatever the environment says
unexport PYTHONDONTWRITEBYTECODE

# a grammar that takes four seconds to load wherever jsonschema is imported, as by kfp; it would check IRIs, which nothing here has
SLOW_IMPORTS := --no-emit-package rfc3987-syntax --no-emit-package lark

# half of the files: compiled when somebody imports them
SELDOM_IMPORTED := /tests?/|/(vertexai|agentplatform|databricks|matplotlib|mpl_toolkits|fontTools|PIL|mypyc?|git|gunicorn|cyclonedx)/
SELDOM_IMPORTED := $(SELDOM_IMPORTED)|/(setuptools|pkg_resources|distutils|wcwidth|pyasn1_modules|pygments/lexers)/
SELDOM_IMPORTED := $(SELDOM_IMPORTED)|/google/(cloud/aiplatform|genai)

# `hardlink` is six times as fast, and whoever edits a library in .venv then edits it in uv's cache
LINK_MODE ?= copy

HISTORIES ?= 1000
SEED ?= 1
FIRST ?= 0
REPLICAS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit servers simulate check format lock bench image image-test wheelhouse clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## create .venv with the locked dependencies and the tool itself

$(READY): requirements-dev.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed, $$($(PYTHON) --version) was found: call make PYTHON=python3.11 …" >&2; exit 2; }
	@echo "setting up $(VENV) (about half a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --link-mode=$(LINK_MODE) requirements-dev.lock requirements-uv.lock
	@$(BIN)/python -m compileall -q -j 0 -x '$(SELDOM_IMPORTED)' $(VENV)/lib >/dev/null || true  # a file that is for another Python is nobody's loss
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --link-mode=copy --editable .
	@touch $@

demo: setup ## the main job in about two minutes
	@$(BIN)/trainer-daemon demo

test: unit servers ## every test, unit to acceptance; the image has its own

servers: setup
	@$(PYTEST) -n 4 --dist loadgroup --no-loadscope-reorder tests/integration tests/simulation tests/acceptance

simulate: setup ## the daemon in a simulated world: make simulate HISTORIES=10000 SEED=1; FIRST=n begins at history n
	@$(BIN)/python -m tests.simulation --histories $(HISTORIES) --seed $(SEED) --first $(FIRST) --replicas $(REPLICAS)

check: setup lint unit ## what needs no server: lint, types, layers, unit tests

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@nice $(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

unit: setup
	@nice $(PYTEST) -n 2 tests/unit  # by themselves: hypothesis minds random numbers that a library's thread draws meanwhile

format: setup ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: setup ## resolve the dependencies again
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock --extra vertex --group dev $(SLOW_IMPORTS) pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock --extra vertex $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock) pyproject.toml -o requirements-vertex.lock
	@printf 'hatchling\nsetuptools\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements-dev.lock - -o requirements-build.lock

bench: setup ## measure what README states
	@$(BIN)/python -m benchmarks

image: setup ## build the container image, print its strict name and size, write its bill of materials; PUSH=1 pushes it, EXTRA=vertex adds Vertex AI
	@docker build --quiet --tag $(IMAGE):$(VERSION) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
	  --build-arg EXTRA=$(EXTRA) --build-arg CREATED=$$(git log -1 --format=%cI) $(BUILD_ARGS) . >/dev/null
	@$(if $(PUSH),docker push --quiet $(IMAGE):$(VERSION) >/dev/null)
	@docker run --rm --network none --entrypoint python3 $(IMAGE):$(VERSION) \
	  -c 'from importlib.metadata import distributions as d; print(*sorted(f"{x.name}=={x.version}" for x in d()), sep="\n")' \
	  | $(BIN)/cyclonedx-py requirements --output-reproducible --output-file trainer-daemon.cdx.json - 2>/dev/null
	@docker image inspect $(IMAGE):$(VERSION) \
	  --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}$(IMAGE):$(VERSION), image {{.Id}}; a registry gives the digest: PUSH=1{{end}}'
	@docker image inspect $(IMAGE):$(VERSION) --format '{{.Size}}' | awk '{ printf "%.0f MB, bill of materials: trainer-daemon.cdx.json\n", $$1 / 1e6 }'

image-test: setup wheelhouse ## run the image hardened, with the demo's drops; needs a Docker engine
	@$(PYTEST) -rs tests/image

wheelhouse: setup ## download what an image build without a package index needs
	@$(BIN)/python -m pip download --quiet --require-hashes --dest wheelhouse -r requirements.lock
	@$(BIN)/python -m pip download --quiet --require-hashes --dest wheelhouse -r requirements-build.lock
	@$(if $(EXTRA),$(BIN)/python -m pip download --quiet --require-hashes --no-deps --dest wheelhouse -r requirements-$(EXTRA).lock)

clean: ## remove what the other targets made
	rm -rf $(VENV) var demo-workspace wheelhouse trainer-daemon.cdx.json .pytest_cache .mypy_cache .ruff_cache
