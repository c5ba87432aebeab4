# make demo    two nodes on this machine, one gets packages that the other holds;
#              with KEEP=1 they stay up until Enter, with pages to look at
# make test    all tests, in three runs: two at a time those that do not look at the clock, then those
#              of the package and of a LAN's state, and one after the other the others on a LAN of
#              namespaces, which need root and pacman, and say so;
#              TESTS="tests.faces tests.sources" for some of them
# make bench   what bench/performance.rst claims, measured here; needs root, pacman, nginx and wrk
# make check   style, types and the import contract
# make clean   take away what the others made
#
# Each sets up .venv by itself. PYTHON=... chooses another interpreter than the first that fits.

CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
FITS := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON := $(shell for python in $(CANDIDATES); do \
	"$$python" -c '$(FITS)' 2>/dev/null && { echo "$$python"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
TESTS :=
FOLDERS := $(subst /,.,$(patsubst %/__init__.py,%,$(sort $(wildcard tests/*/__init__.py))))
# What is installed, built and booted.
INSTALLED := tests.packaging
# On a LAN of namespaces. First those of which next to nothing is measured; then real nodes and pacmans,
# and how long they take: little else is to run beside one.
MEASURED := tests.interop_on_lan.test_together tests.sites_on_lan.test_sites
MODULES = $(subst /,.,$(patsubst %.py,%,$(sort $(wildcard $(1)/test_*.py))))
UNMEASURED := $(filter-out $(MEASURED),$(call MODULES,tests/*_on_lan)) $(addprefix tests.lan.test_,\
	abilities by_hand commands forked pacman_7 redirect)
# Of these what takes about half of their time.
OWN_INTEROP := $(filter tests.own_on_lan.% tests.interop_on_lan.%,$(UNMEASURED))
ONE_BY_ONE := $(filter-out $(UNMEASURED),$(call MODULES,tests/lan) $(call MODULES,tests/*_on_lan))
TWO_AT_A_TIME := $(filter-out tests.lan tests.%_on_lan $(INSTALLED),$(FOLDERS)) $(sort $(wildcard tests/test_*.py))
TRIAL := $(BIN)/python -m twisted.trial
# An editable installation leads Python to flocon, and Twisted not to its plugin: this leads to both, and
# needs no finder of modules, which takes as long as all else of a Python's start.
FIND_PLUGIN := import os, pathlib, sysconfig; site = pathlib.Path(sysconfig.get_path("purelib")); \
	[one.unlink() for one in site.glob("__editable__.flocon-*.pth")]; \
	site.joinpath("flocon-clone.pth").write_text(os.getcwd() + "\n")
NO_PIP := echo "flocon: pip could not install what flocon needs, for the reason above. It asks \
	the package index of its configuration, which needs a network; $(MAKE) clean, and begin again." \
	>&2; exit 1

.PHONY: demo test test-two-at-a-time test-installed test-unmeasured test-own-interop \
	test-one-by-one bench check clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	@$(BIN)/python -m tests.lan.demo $(if $(KEEP),--keep)

test: $(VENV)/installed-dev
ifneq ($(strip $(TESTS)),)
	@$(BIN)/python -m tests.named $(TESTS)
	$(TRIAL) $(TESTS)
else
	status=0; $(TRIAL) --jobs=2 $(TWO_AT_A_TIME) || status=1; \
		$(TRIAL) $(INSTALLED) $(UNMEASURED) || status=1; $(TRIAL) $(ONE_BY_ONE) && exit $$status
endif

# Its parts, for who has them run at the same time.
test-two-at-a-time: $(VENV)/installed-dev
	$(TRIAL) --jobs=2 $(TWO_AT_A_TIME)

test-installed: $(VENV)/installed-dev
	$(TRIAL) --reporter=timing $(INSTALLED)

test-unmeasured: $(VENV)/installed-dev
	$(TRIAL) --reporter=timing $(filter-out $(OWN_INTEROP),$(UNMEASURED))

test-own-interop: $(VENV)/installed-dev
	$(TRIAL) --reporter=timing $(OWN_INTEROP)

test-one-by-one: $(VENV)/installed-dev
	$(TRIAL) --reporter=timing $(ONE_BY_ONE)

bench: $(VENV)/installed
	$(BIN)/python -m bench.all

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .hypothesis
	rm -rf .mypy_cache .ruff_cache .import_linter_cache twisted/plugins/dropin.cache
	find flocon tests twisted -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || \
		{ echo "flocon needs Python 3.11 or later; install it, or name it: make PYTHON=..." >&2; exit 1; }
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "there is no program called $(PYTHON); name another: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || \
		{ echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' || \
		{ echo "$(PYTHON) has no venv; on Debian, install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/installed: Makefile setup.cfg pyproject.toml | $(BIN)/python
	@echo "pip install --editable ."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . || { $(NO_PIP); }
	@$(BIN)/python -c '$(FIND_PLUGIN)'
	@touch $@

$(VENV)/installed-dev: Makefile setup.cfg pyproject.toml | $(BIN)/python
	@echo "pip install --editable '.[dev]'"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' || { $(NO_PIP); }
	@$(BIN)/python -c '$(FIND_PLUGIN)'
	@touch $@ $(VENV)/installed
