# SPDX-License-Identifier: GPL-2.0-or-later
# AppSheath: "make help" lists the targets.
PYTHON := /usr/bin/python3
-include build/config
PREFIX ?= /usr/local
DESTDIR ?=
INSTALL ?= install

# What make rebuilds the emulator for is ninja's business; here only what it is grafted from
GRAFTED := upstream/inserts tests/qtest $(wildcard upstream/inserts/* tests/qtest/*) scripts/graft.py
NINJA := scripts/ninja.sh
qtest_targets = $(patsubst %.c,%,$(wildcard tests/qtest/*-test.c)) tests/qtest/appsheath/appsheath-attack
guest_dirs := $(patsubst %/Makefile,%,$(wildcard guest/Makefile))
tool_dirs := $(patsubst %/Makefile,%,$(wildcard tools/Makefile))
QEMU := build/bin/qemu-system-x86_64
DEMO = $(PYTHON) demo/walkthrough.py

.PHONY: all help build emulator tools guest demo demo-vnc desk check check-desk check-unit check-qtest check-tools check-functional check-coverage \
	check-acs check-attack attack check-ni fuzz-ni teeth-ni check-base check-asan check-tsan check-fuzz check-model fuzz bench docs install upstream-check clean distclean

all: build

help:
	@echo 'AppSheath: trusted programs under a '"'visor nobody has to trust, in a patched QEMU."
	@echo
	@echo '  make build             the emulator, the tools and the guests (the default)'
	@echo '  make demo              the walkthrough, from power-on to the last refusal'
	@echo '  make demo-vnc          the same machine kept running, with two VNC displays'
	@echo '  make desk              the machine in a browser: screen, keyboard with LCD, key (PORT=8080)'
	@echo '  make check             all tests; check-base, check-unit, check-qtest, check-tools,'
	@echo '                         check-acs (T=NAME), check-attack (T=NAME) and check-functional run'
	@echo '                         some of them; check-coverage: has each rule a test?'
	@echo '  make check-desk        the desk in headless Chromium and Firefox, and the plain VNC displays; not part of check'
	@echo '  make attack            all attacks (T=NAME: some) as a table: contained on the real machine,'
	@echo '                         and what they do when their guard is off'
	@echo '  make check-fuzz        the fuzz targets for 30 s each; make fuzz T=NAME: one of them, for ever'
	@echo '  make check-ni          does what a '"'visor sees depend on a secret? make fuzz-ni: for ever, from"
	@echo '                         FUZZ_SEED on; make teeth-ni: it does, without each guard'
	@echo '  make check-model       the models, searched exhaustively'
	@echo '  make check-asan        all that runs in the emulator, on a build with sanitizers; make check-tsan:'
	@echo '                         what runs on several vCPUs, with the thread sanitizer'
	@echo '  make bench             what protected memory costs'
	@echo '  make docs              the documents as HTML, in build/docs'
	@echo '  make upstream-check    what is inserted into QEMU, as a diff, and how much it is'
	@echo '  make install           PREFIX=/usr/local DESTDIR='
	@echo '  make clean             what was built but QEMU; distclean: all of build/'
	@echo
	@echo './configure --help tells more about packages, downloads and the network.'

# Configured anew when it never was, or when the recipe for it changed
build/config: configure scripts/get-qemu.sh upstream/packages
	./configure
	@touch $@

build/.grafted: build/config $(GRAFTED)
	$(PYTHON) scripts/graft.py build/qemu-src
	@touch $@

emulator: build/.grafted
	@$(NINJA) build/qemu qemu-system-x86_64 $(qtest_targets)
	@mkdir -p build/bin
	@ln -sfn ../qemu/qemu-system-x86_64 $(QEMU)

tools: build/config
	@for d in $(tool_dirs); do $(MAKE) -s --no-print-directory -C $$d || exit 1; done
	@mkdir -p build/bin
	@ln -sfn ../tools/appsheath-key build/bin/appsheath-key

guest: build/config
	@for d in $(guest_dirs); do $(MAKE) -s --no-print-directory -C $$d || exit 1; done

build: emulator tools guest

demo: build
	$(DEMO)

demo-vnc: build
	$(DEMO) --vnc

# PORT=: of the page
desk: build
	@scripts/packages.sh desk
	$(PYTHON) desk/desk.py $(if $(PORT),--port $(PORT))

# Tests: tests/run knows the suites, their programs and how long each may take
build/tests/.built: FORCE | build/config
	@$(MAKE) -s --no-print-directory -C tests/unit
	@$(MAKE) -s --no-print-directory -C tests/acs
	@$(MAKE) -s --no-print-directory -C tests/attack
	@$(MAKE) -s --no-print-directory -C tests/ni
FORCE:

check: build build/tests/.built
	@scripts/packages.sh fuzz model functional
	@tests/run base upstream unit tools model fuzz qtest acs attack ni functional coverage
check-base:
	@tests/run base
check-unit: build/tests/.built
	@tests/run unit
check-qtest: emulator
	@tests/run qtest
check-tools: tools
	@tests/run tools
# T=NAME: only tests with that in their name; SMP=, ACCEL=: one run, on so many vCPUs, with this -accel
check-acs: build build/tests/.built
	@tests/run -- tests/acs/run.py $(if $(T),T=$(T)) $(if $(SMP),--smp $(SMP)) $(if $(ACCEL),--accel $(ACCEL))
check-attack: build build/tests/.built
	@tests/run --timeout 900 -- tests/attack/run.py $(if $(T),T=$(T))
attack: build build/tests/.built
	@$(PYTHON) tests/attack/run.py --table $(if $(T),T=$(T))
# Two machines that differ in a secret alone; for ever: from FUZZ_SEED on, until something differs; and without each guard
check-ni: build build/tests/.built
	@tests/run ni
fuzz-ni: build build/tests/.built
	$(PYTHON) tests/ni/run.py --for-ever
teeth-ni: build build/tests/.built
	$(PYTHON) tests/ni/run.py --teeth
check-functional: build
	@scripts/packages.sh functional
	@tests/run functional
# Needs browsers, and axe-core from npm's registry: so not part of "make check"
check-desk: build
	@scripts/packages.sh desk desk-test
	@command -v npm >/dev/null || scripts/packages.sh desk-npm
	@tests/run desk
# Which tests show which rule; "tests/coverage --list" tells
check-coverage: emulator build/tests/.built
	@tests/run coverage

build/qemu-asan/build.ninja: configure | build/config
	./configure --asan

check-asan: build build/tests/.built build/qemu-asan/build.ninja
	@$(NINJA) build/qemu-asan qemu-system-x86_64 $(qtest_targets)
	@$(MAKE) --no-print-directory -C tests/unit all BUILD=../../build/tests/unit-asan SANITIZE=1
	@scripts/packages.sh functional
	@tests/run --tree build/qemu-asan --slow 5 unit-asan qtest acs attack ni functional

build/qemu-tsan/build.ninja: configure | build/config
	@scripts/packages.sh fuzz
	./configure --tsan

# What runs on several vCPUs; the sanitizer does not survive all of QEMU
check-tsan: build build/tests/.built build/qemu-tsan/build.ninja
	@$(NINJA) build/qemu-tsan qemu-system-x86_64
	@tests/run --slow 5 -- tests/tsan/run.py $(if $(T),T=$(T))

# clang and spin are for these alone
check-fuzz: build/config
	@scripts/packages.sh fuzz
	@tests/run fuzz
fuzz: build/config
	@scripts/packages.sh fuzz
	tests/fuzz/fuzz.py --forever $(if $(T),T=$(T),T=requests)
check-model: build/config
	@scripts/packages.sh model
	@tests/run model

bench: build
	$(PYTHON) tests/bench/run.py

docs:
	@scripts/packages.sh docs
	@mkdir -p build/docs
	$(PYTHON) -m sphinx -q -W -b html docs build/docs
	@echo 'build/docs/index.html'

upstream-check: build/.grafted
	@$(PYTHON) scripts/graft.py build/qemu-src --check

install: build
	$(INSTALL) -D -m 755 -s build/qemu/qemu-system-x86_64 '$(DESTDIR)$(PREFIX)/bin/qemu-system-x86_64'
	$(MAKE) -C tools install PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)'
	$(INSTALL) -d '$(DESTDIR)$(PREFIX)/include/appsheath' '$(DESTDIR)$(PREFIX)/share/appsheath' '$(DESTDIR)$(PREFIX)/share/man/man1'
	$(INSTALL) -m 644 include/appsheath/abi.h $(wildcard guest/lib/*.h) '$(DESTDIR)$(PREFIX)/include/appsheath'
	$(INSTALL) -m 644 $(wildcard build/guest/visor.elf build/guest/os.sheath) '$(DESTDIR)$(PREFIX)/share/appsheath'
	$(INSTALL) -m 644 $(wildcard docs/man/*.1) '$(DESTDIR)$(PREFIX)/share/man/man1'

clean:
	rm -rf build/bin build/tools build/guest build/tests build/docs build/demo build/upstream.diff
	@if [ -e build/qemu/build.ninja ]; then ninja -C build/qemu -t clean qemu-system-x86_64 $(qtest_targets) >/dev/null 2>&1 || true; fi

distclean:
	rm -rf build
