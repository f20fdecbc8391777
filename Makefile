# virtiofs-cosim. Each target is one line; the work is in the command line tool (virtiofs-tb).
# Values travel as environment variables, so that nothing typed here is parsed by a shell.

PYTHON ?= python3
export VIRTIOFS_TEST    := $(value TEST)
export VIRTIOFS_SEED    := $(value SEED)
export VIRTIOFS_SEEDS   := $(value SEEDS)
export VIRTIOFS_WAVES   := $(value WAVES)
export VIRTIOFS_JOBS    := $(value JOBS)
export VIRTIOFS_DUT     := $(value DUT)
export VIRTIOFS_PROFILE := $(value PROFILE)
export VIRTIOFS_WITHOUT := $(value WITHOUT)
export VIRTIOFS_ENGINE  := $(value ENGINE)
export VIRTIOFS_FROM    := $(value FROM)
export VIRTIOFS_TO      := $(value TO)
export VIRTIOFS_GROUPS  := $(value GROUPS)
export VIRTIOFS_MNT     := $(value MNT)
export VIRTIOFS_CMD     := $(value CMD)
export VIRTIOFS_VARIANT := $(value VARIANT)
export VIRTIOFS_TARGET  := $(value TARGET)

# `make linux SHELL=1` asks for a shell in the guest; make itself goes on with the one that it needs.
ifeq ($(origin SHELL),command line)
ifneq ($(filter 1 yes on true,$(SHELL)),)
export VIRTIOFS_SHELL := 1
override SHELL := /bin/sh
endif
endif

setup = @$(PYTHON) tools/bootstrap.py $(1) && .venv/bin/virtiofs-tb $(2)

.PHONY: linux help sim waves campaign test widths list lint lock peers mount umount dpu bench conformance grade coverage synth clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16
	@echo "  variables: TEST=name SEED=n SEEDS=1-50 WAVES=1 JOBS=n DUT=file.f PROFILE=file.toml ENGINE=ramfs|firmware WITHOUT=scoreboard FROM=time TO=time GROUPS=names MNT=directory CMD=words PYTHON=python3.x"

sim: ## run a simulation (TEST=main) and print its summary
	$(call setup,sim,sim)

waves: ## run TEST with SEED again with waves (of FROM to TO), and files for GTKWave and Surfer
	$(call setup,sim,waves)

test: ## all tests: unit tests without a simulator, then simulations
	$(call setup,sim,test)

widths: ## the units of the endpoint at 128 and 512 bits, and at its largest capacity
	$(call setup,sim,widths)

campaign: ## one test with many seeds (TEST=trees SEEDS=1-50), and a table of what each run checked
	$(call setup,sim,campaign)

peers: ## hold the endpoint beside QEMU's device and virtiofsd, and run tests/peers
	$(call setup,peers,peers)

linux: ## boot Linux as the endpoint's driver (VARIANT=names TARGET=rtl|model; SHELL=1: a shell in it)
	$(call setup,sim,linux)

mount: ## the endpoint as a directory MNT= of this machine, until Ctrl-C
	$(call setup,sim,mount)

umount: ## end a mount, or clear away what a killed one left
	$(call setup,sim,umount)

dpu: ## act as the DPU on a mount that runs, behind its client's back (CMD="write FILE TEXT | rm FILE | mv A B | ls")
	$(call setup,sim,dpu)

bench: ## how fast the random part runs, and in how much memory
	$(call setup,sim,bench)

list: ## the tests that TEST= takes
	$(call setup,sim,list)

conformance: ## write docs/conformance.md: what checks each clause of the specification, and what came of it
	$(call setup,sim,conformance)

coverage: ## which situations were met, by the golden device and in logs that make test left; prints holes
	$(call setup,sim,coverage)

grade: ## is every named defect of the golden device caught, by whom, after how many operations (no simulator)
	$(call setup,sim,grade)

synth: ## what the endpoint takes in hardware, by module: cells, flip-flops, block RAM
	$(call setup,lint,synth)

lint: ## Verilator, slang and Yosys for hdl/; ruff and mypy for Python
	$(call setup,lint,lint)

lock: ## write requirements/*.txt anew from pyproject.toml (needs uv)
	@for group in sim peers lint; do uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-package systemc --python-version 3.10 -q pyproject.toml --extra build $$( [ $$group = sim ] || echo --extra peers ) $$( [ $$group = lint ] && echo --extra lint ) -o requirements/$$group.txt || exit 1; done

clean: ## remove everything generated, .venv too
	@rm -rf sim_build .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info && find . -name __pycache__ -type d -prune -exec rm -rf {} +
