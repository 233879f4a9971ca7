# SPDX-License-Identifier: BSD-3-Clause
#
#   make demo        train a small language model and ask it for next words
#   make test        checks of style and types, then all tests
#   make check-long  what takes minutes: every float32, PyTorch side by side, corpora
#   make bench       figures of speed beside PyTorch and others; ARGS="training --help"
#   make lint        checks of style and types alone
#   make lib         the C library: build/lib/librnnkit.so, librnnkit.a and rnnkit.pc
#   make install-lib PREFIX=/usr/local
#   make amalgamation  the C library as two files: build/amalgamation/rnnkit.c and rnnkit.h
#   make clean       remove what was built
#
# Each target sets up what it needs in .venv, once. PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
LONG := .venv-long
PIP := python -m pip install --quiet --disable-pip-version-check
PLUGINS := $(patsubst %/pyproject.toml,./%,$(wildcard plugins/*/pyproject.toml))
OFFLINE := "rnnkit: pip could not install what stands above. It needs a network or a local \
index; behind a proxy set HTTPS_PROXY, then run make again."

NATIVE := setup.py pyproject.toml tools/amalgamate.py include/rnnkit.h $(wildcard csrc/*/*.[ch] rnnkit/core/*.p[yx][xd])
# What the kernels and the core compute is tested under each instruction set.
CAPPED := $(wildcard $(addprefix tests/test_,core*.py int8.py program.py heads*.py solvers.py \
    cells*.py against_torch.py runtime.py estimator_language_model.py))

.PHONY: demo test check-long bench lint lib install-lib amalgamation clean always

demo: $(VENV)/.built
	$(VENV)/bin/rnnkit demo --output demo.rnn

# A fault of style does not keep the tests from running, but it fails the whole.
test: $(VENV)/.plugins $(VENV)/.tools
	@style=0; VENV=$(VENV) sh tools/lint.sh || style=1; \
	for isa in $$($(VENV)/bin/python -c \
	    "from rnnkit.core import supported_isas; print(*supported_isas()[:-1])"); do \
	    echo "== tests of the core under RNNKIT_ISA=$$isa"; \
	    RNNKIT_ISA=$$isa $(VENV)/bin/python -m pytest $(CAPPED) || exit 1; \
	done; \
	echo "== all tests"; \
	$(VENV)/bin/python -m pytest tests plugins || exit 1; \
	test $$style = 0 || { echo "faults of style: see above"; exit 1; }

check-long: $(LONG)/.built
	$(LONG)/bin/python -m pytest tests/long

bench:
	$(PYTHON) benchmarks/run.py $(ARGS)

lint: $(VENV)/.tools
	@VENV=$(VENV) sh tools/lint.sh

# The C library. Its flags are those of setup.py; OPENMP= builds it without threads.
PREFIX ?= /usr/local
OPENMP ?= -fopenmp
LIB := build/lib
OBJ := build/obj
LIB_FLAGS := -std=c11 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math \
    -fvisibility=hidden -fPIC -Wall -Icsrc -Iinclude $(OPENMP)
OBJECTS := $(patsubst csrc/%.c,$(OBJ)/%.o,$(wildcard csrc/*/*.c))
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' rnnkit/__init__.py)

lib: $(LIB)/librnnkit.so $(LIB)/librnnkit.a $(LIB)/rnnkit.pc

# What was compiled with other flags is compiled again.
$(OBJ)/flags: always
	@mkdir -p $(@D)
	@echo '$(CC) $(LIB_FLAGS) $(CFLAGS)' > $@.new
	@cmp -s $@.new $@ || cp $@.new $@

$(OBJ)/%.o: csrc/%.c $(wildcard csrc/*/*.h) include/rnnkit.h $(OBJ)/flags
	@mkdir -p $(@D)
	@$(CC) $(LIB_FLAGS) $(CFLAGS) -c $< -o $@

$(LIB)/librnnkit.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared $(OPENMP) $(LDFLAGS) $^ -lm -o $@

$(LIB)/librnnkit.a: $(OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(LIB)/rnnkit.pc: tools/rnnkit.pc.in rnnkit/__init__.py $(OBJ)/flags
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|;s|@OPENMP@|$(OPENMP)|' $< > $@

install-lib: lib
	@rm -f $(LIB)/rnnkit.pc
	@$(MAKE) --no-print-directory $(LIB)/rnnkit.pc
	mkdir -p $(PREFIX)/include $(PREFIX)/lib/pkgconfig
	cp include/rnnkit.h $(PREFIX)/include
	cp $(LIB)/librnnkit.so $(LIB)/librnnkit.a $(PREFIX)/lib
	cp $(LIB)/rnnkit.pc $(PREFIX)/lib/pkgconfig

amalgamation:
	$(PYTHON) tools/amalgamate.py build/amalgamation

clean:
	rm -rf demo.rnn build dist $(VENV) $(LONG) *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -rf $(addprefix rnnkit/c_library/,include lib src)
	rm -f rnnkit/core/_core.c rnnkit/core/_text.c rnnkit/core/*.so

# An environment with what building and running need; a failure leaves nothing behind.
%/.made: pyproject.toml tools/requirements.py
	@$(PYTHON) tools/prerequisites.py
	@echo "== making an environment in $*"
	@test -x $*/bin/python || $(PYTHON) -m venv $*
	@$*/bin/python tools/requirements.py build run > $*/requirements.txt
	@$*/bin/$(PIP) -r $*/requirements.txt || { echo $(OFFLINE); exit 1; }
	@touch $@

# The package itself, in place: Python files may be edited, C files are built again.
%/.built: %/.made $(NATIVE)
	@echo "== building rnnkit"
	@$*/bin/$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

# The packages of plugins/, installed as a user would.
$(VENV)/.plugins: $(VENV)/.tools $(shell find plugins -name build -prune -o -name '*.py' \
    -print -o -name '*.toml' -print)
	@echo "== installing the packages of plugins/"
	@$(VENV)/bin/$(PIP) --no-build-isolation $(PLUGINS) || { echo $(OFFLINE); exit 1; }
	@touch $@

# A tool of style that this machine cannot have is left out; lint.sh says which.
$(VENV)/.tools: $(VENV)/.built
	@$(VENV)/bin/$(PIP) $$($(VENV)/bin/python tools/requirements.py test) \
	    || { echo $(OFFLINE); exit 1; }
	@$(VENV)/bin/python tools/requirements.py lint | while read need; do \
	    $(VENV)/bin/$(PIP) "$$need" || true; done
	@touch $@

$(LONG)/.built: $(LONG)/.torch
$(LONG)/.torch: $(LONG)/.made
	@$(LONG)/bin/$(PIP) $$($(LONG)/bin/python tools/requirements.py long) \
	    || { echo $(OFFLINE); exit 1; }
	@touch $@

.SECONDARY:
