# Two commands bring up a fresh Debian or Ubuntu with Rust and a C compiler: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
OUT ?= runs/demo
# Where `cargo test` writes what it ran, for machines without cargo-nextest.
TEST_LOG := target/test-log

.PHONY: help setup setup-test setup-slurm demo test test-run test-doc claims lint fmt doc bench bench-check deny clean-runs

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

setup: ## installs libhdf5-dev where it is missing
	@if [ -n "$${HDF5_DIR:-}" ] || pkg-config --exists hdf5 2>/dev/null \
	    || [ -e /usr/include/hdf5.h ] || [ -e /usr/include/hdf5/serial/hdf5.h ]; then \
	  exit 0; \
	elif ! command -v apt-get >/dev/null; then \
	  echo "HDF5's headers are missing. Install HDF5 with your package manager, or set HDF5_DIR to where it lies." >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libhdf5-dev pkg-config; \
	elif command -v sudo >/dev/null; then \
	  sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libhdf5-dev pkg-config; \
	else \
	  echo "HDF5's headers are missing. As root, run: apt-get install libhdf5-dev pkg-config" >&2; exit 1; \
	fi

# One test reads a feature cache with h5py, as users of Python do.
setup-test: setup ## and h5py, which a test reads caches with
	@for python in "$${SOTTOVOCE_PYTHON:-python3}" /usr/bin/python3; do \
	  if "$$python" -c 'import h5py' 2>/dev/null; then exit 0; fi; \
	done; \
	if ! command -v apt-get >/dev/null; then \
	  echo "No Python with h5py: install it with your package manager, or name one that has it in SOTTOVOCE_PYTHON." >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-h5py; \
	elif command -v sudo >/dev/null; then \
	  sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-h5py; \
	else \
	  echo "No Python with h5py. As root, run: apt-get install python3-h5py" >&2; exit 1; \
	fi

# Tests of `sweep --executor slurm` start a Slurm of one host as root; where it is not installed they say that they are skipped.
setup-slurm: ## and Slurm, for the tests of sweeps on a cluster (root, Debian or Ubuntu)
	@if command -v slurmctld >/dev/null && command -v munged >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "Slurm is installed as root on Debian or Ubuntu: apt-get install slurm-wlm munge" >&2; exit 1; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge

demo: setup ## builds and runs the main job end to end; prints where the report lies (OUT=runs/demo)
	$(CARGO) build --release --locked -p sottovoce -p sottovoce-coordinator
	./target/release/sottovoce demo --out $(OUT)

test: setup-test test-run test-doc claims ## the whole test suite, as CI runs it

# End-to-end tests start the two programs, so those are built first: in the same profile, and in one selection with the tests,
# or features differ and dependencies are built twice.
test-run:
	$(CARGO) build --locked --workspace --bins --tests
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  rm -rf $(TEST_LOG) target/nextest/default/junit.xml; \
	  echo "$(CARGO) nextest run --workspace --locked"; \
	  $(CARGO) nextest run --workspace --locked; \
	else \
	  echo "cargo-nextest is not installed: running cargo test (cargo install cargo-nextest --locked gives the faster runner)"; \
	  rm -rf target/nextest/default/junit.xml; mkdir -p $(TEST_LOG); \
	  $(CARGO) test --workspace --locked --lib --bins --tests --no-run --message-format=json > $(TEST_LOG)/binaries.jsonl; \
	  $(CARGO) test --workspace --locked --lib --bins --tests --no-fail-fast --color never 2>&1 | tee $(TEST_LOG)/run.txt; \
	fi

# The runner above does not run the examples in the documentation.
test-doc:
	$(CARGO) test --workspace --locked --doc

claims: ## every claim of the threat model against the tests that ran last
	@if [ -f $(TEST_LOG)/run.txt ]; then \
	  $(CARGO) run --locked -q -p sottovoce-threat-model -- check --from-log $(TEST_LOG)/run.txt --binaries $(TEST_LOG)/binaries.jsonl; \
	else \
	  $(CARGO) run --locked -q -p sottovoce-threat-model -- check; \
	fi

lint: fmt ## rustfmt, clippy and rustdoc, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(MAKE) --no-print-directory doc

fmt:
	$(CARGO) fmt --all -- --check

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench: setup ## wall-time benches (criterion); results under target/criterion
	$(CARGO) bench --locked -p sottovoce-benches

bench-check: ## the benches compile
	$(CARGO) check --locked -p sottovoce-benches --benches

deny: ## licences, bans and sources of dependencies, where cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed (cargo install cargo-deny --locked): not checked"; fi

clean-runs: ## removes runs/
	rm -rf runs
