# What a developer runs: demo, test, check, bench, peers. What an admin runs: install, uninstall.

# Debian's own Python before any other: it is built with optimisations that others often lack.
PYTHON     ?= $(firstword $(wildcard /usr/bin/python3) python3)
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
MANDIR     ?= $(PREFIX)/share/man
DESTDIR    ?=

# A virtual environment of its own, since Debian's Python takes no packages beside its own (PEP 668).
LIBRARY       = $(PREFIX)/lib/messagewall
SHARE         = $(PREFIX)/share/messagewall
CONFIGURATION = $(SYSCONFDIR)/messagewall

# Real mail servers and tools that tests and benchmarks use, and the standard library's own messages; without them
# those tests are skipped.
PEERS = postfix haproxy rbldnsd unbound rsyslog mandoc iproute2 strace python3-venv util-linux \
	libpython$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-testsuite

MANUALS = man/messagewall.1 man/messagewalltest.1 man/messagewall.conf.5 man/messagewall_profiles.5

.PHONY: demo test check bench peers build install uninstall clean

demo: .venv/installed
	.venv/bin/python tests/demo.py

test: .venv/installed
	.venv/bin/python -m pytest $(TESTS)

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/mypy --strict
	@command -v mandoc >/dev/null || { echo "make check needs mandoc: apt-get install mandoc" >&2; exit 1; }
	cd man && mandoc -T lint -W style $(notdir $(MANUALS))

bench: .venv/installed
	.venv/bin/python bench/bench.py

peers:
	.ci/with-no-services apt-get update
	.ci/with-no-services apt-get install --yes --no-install-recommends $(PEERS)

.venv/installed: pyproject.toml
	@$(call need_venv)
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# Wheels of MessageWall and of what it needs: this step uses the network, install does not.
build: build/wheels/built

build/wheels/built: pyproject.toml $(shell find mwall -name '*.py')
	@$(call need_venv)
	rm -rf build
	$(PYTHON) -m venv build/venv
	build/venv/bin/pip wheel --quiet --disable-pip-version-check --wheel-dir build/wheels .
	rm -rf build/lib build/bdist.*
	@touch $@

install: build/wheels/built
	DESTDIR='$(DESTDIR)' LIBRARY='$(LIBRARY)' SHARE='$(SHARE)' CONFIGURATION='$(CONFIGURATION)' \
	MANDIR='$(MANDIR)' PREFIX='$(PREFIX)' PYTHON='$(PYTHON)' init/install $(MANUALS)

uninstall:
	DESTDIR='$(DESTDIR)' LIBRARY='$(LIBRARY)' SHARE='$(SHARE)' CONFIGURATION='$(CONFIGURATION)' \
	MANDIR='$(MANDIR)' PREFIX='$(PREFIX)' init/uninstall $(MANUALS)

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define need_venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "MessageWall needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
endef
