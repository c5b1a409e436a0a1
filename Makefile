# Whatever needs root (installing packages, the end-to-end tests) runs through sudo if the user is
# not root.

VERSION ?= $(shell sed -n 's/^Version: *//p' packaging/klp-audit.spec)
DESTDIR ?=
GO      ?= go
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
ROOT    := $(SUDO) env "PATH=$$PATH" "HOME=$$HOME" KLP_AUDIT_E2E=1
BENCH   := $(SUDO) env "PATH=$$PATH" "HOME=$$HOME" KLP_AUDIT_BENCH

PREFIX  := $(DESTDIR)/usr
SYSTEMD := $(PREFIX)/lib/systemd
# Where the package's own configuration goes; on SLE 15 it is /etc.
VENDORCONF ?= /usr/etc
STRIP   ?= -s -w
LDFLAGS := $(STRIP) -X main.version=$(VERSION)
# Nothing is loaded into SQLite at run time. SQLITE=libsqlite3 uses the system's library.
SQLITE  ?=
TAGS    := sqlite_omit_load_extension $(SQLITE)
# Where the programs go.
OUT     ?= build
# What install needs first; empty in a package, which is already built.
BUILD   ?= build

# The C parts, above all SQLite, check their stack and buffers, and all addresses are bound at the
# start. SQLite refuses statements that could damage a database, and trusts no schema. It does not
# count the memory that it uses, because that takes a lock for each allocation. Flags from the
# environment, such as the package's own, come last and win.
HARDENED := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 \
	-DSQLITE_DEFAULT_DEFENSIVE=1 -DSQLITE_TRUSTED_SCHEMA=0 -DSQLITE_DEFAULT_MEMSTATUS=0
export CGO_CFLAGS := $(HARDENED) $(filter-out $(HARDENED),$(or $(CGO_CFLAGS),-O2 -g))
BOUND    := -Wl,-z,relro -Wl,-z,now
export CGO_LDFLAGS := $(BOUND) $(filter-out $(BOUND),$(or $(CGO_LDFLAGS),-O2 -g))

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

.PHONY: all build install install-units install-fleet man srpm rpm rpmlint demo screenshot test test-boot test-arch fleet-pg17 unit unit-package lives e2e look robust check race bench bench-smoke bench-fleet fuzz deps rpm-deps clean
all: build

# What libzypp executes is static, because it starts in every commit. If there is assembler for the
# architecture, it starts there: see cmd/klp-audit-plugin/entry.go.
ENTRY = $(if $(wildcard cmd/klp-audit-plugin/entry_$(shell $(GO) env GOARCH).s),-E main.entry)

build:
	$(GO) build -trimpath -buildmode=pie -tags '$(TAGS)' -ldflags '$(LDFLAGS) -linkmode=external' -o $(OUT)/ ./cmd/klp-audit ./cmd/klp-audit-recorder ./cmd/klp-audit-fleet
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(STRIP) $(ENTRY)' -o $(OUT)/ ./cmd/klp-audit-plugin

FLEETMAN := packaging/man/klp-audit-fleet.8
# All files of an installed host; the package uses this target.
install: $(BUILD) install-units
	install -D -m 0755 build/klp-audit $(PREFIX)/bin/klp-audit
	install -D -m 0755 build/klp-audit-plugin $(PREFIX)/lib/zypp/plugins/commit/klp-audit
	install -D -m 0755 build/klp-audit-recorder $(PREFIX)/lib/klp-audit/recorder
	install -d $(PREFIX)/lib/zypp/plugins/system $(PREFIX)/lib/zypper/commands
	ln -sfn ../commit/klp-audit $(PREFIX)/lib/zypp/plugins/system/klp-audit
	ln -sfn ../../../bin/klp-audit $(PREFIX)/lib/zypper/commands/zypper-klp-audit
	install -D -m 0755 -t $(PREFIX)/lib/dracut/modules.d/99zz-klp-audit packaging/dracut/99zz-klp-audit/module-setup.sh
	install -D -m 0644 -t $(DESTDIR)$(VENDORCONF)/klp-audit packaging/klp-audit.toml
	install -D -m 0755 -t $(PREFIX)/lib/supportconfig/plugins packaging/supportconfig/klp_audit
	install -D -m 0644 -t $(PREFIX)/share/klp-audit/schema/report report/schema/*.json
	install -D -m 0644 -t $(PREFIX)/share/klp-audit/schema/record record/schema/*.json
	install -D -m 0644 -t $(PREFIX)/share/man/man5 packaging/man/*.5
	install -D -m 0644 -t $(PREFIX)/share/man/man8 $(filter-out $(FLEETMAN),$(wildcard packaging/man/*.8))
	install -D -m 0644 packaging/completion/klp-audit.bash $(PREFIX)/share/bash-completion/completions/klp-audit
	install -D -m 0644 packaging/completion/klp-audit.zsh $(PREFIX)/share/zsh/site-functions/_klp-audit
	install -D -m 0644 -t $(PREFIX)/share/fish/vendor_completions.d packaging/completion/klp-audit.fish

# The drop-in is one file, and a link for each other service: a drop-in for all names that begin with
# klp-audit- would take the network away from the fleet's services, too.
install-units:
	install -D -m 0644 -t $(SYSTEMD)/system packaging/systemd/*.service packaging/systemd/*.timer packaging/systemd/*.path
	install -D -m 0644 -t $(SYSTEMD)/system/klp-audit-observe.service.d packaging/systemd/hardening.conf
	for unit in $(filter-out klp-audit-observe.service,$(notdir $(wildcard packaging/systemd/*.service))); do \
		install -d $(SYSTEMD)/system/$$unit.d && \
		ln -sfn ../klp-audit-observe.service.d/hardening.conf $(SYSTEMD)/system/$$unit.d/hardening.conf || exit; done
	install -D -m 0644 -t $(SYSTEMD)/system-preset packaging/systemd/90-klp-audit.preset
	install -D -m 0644 -t $(SYSTEMD)/catalog packaging/systemd/klp-audit.catalog
	install -D -m 0644 packaging/systemd/klp-audit.tmpfiles $(PREFIX)/lib/tmpfiles.d/klp-audit.conf
	install -D -m 0644 packaging/systemd/klp-audit.sysusers $(PREFIX)/lib/sysusers.d/klp-audit.conf

# All files of the collector, which is a package of its own.
install-fleet: FLEET := packaging/systemd/fleet
install-fleet: $(BUILD)
	install -D -m 0755 build/klp-audit-fleet $(PREFIX)/bin/klp-audit-fleet
	install -D -m 0644 -t $(PREFIX)/share/man/man8 $(FLEETMAN)
	install -D -m 0644 packaging/completion/klp-audit-fleet.bash $(PREFIX)/share/bash-completion/completions/klp-audit-fleet
	install -D -m 0644 packaging/completion/klp-audit-fleet.zsh $(PREFIX)/share/zsh/site-functions/_klp-audit-fleet
	install -D -m 0644 -t $(PREFIX)/share/fish/vendor_completions.d packaging/completion/klp-audit-fleet.fish
	install -D -m 0644 -t $(SYSTEMD)/system $(FLEET)/*.service $(FLEET)/*.timer
	install -D -m 0644 -t $(SYSTEMD)/system/klp-audit-fleet-.service.d $(FLEET)/common.conf
	install -D -m 0644 $(FLEET)/klp-audit-fleet.sysusers $(PREFIX)/lib/sysusers.d/klp-audit-fleet.conf

# Man page and completions are generated from the commands, docs/events.md from the schemas of
# events, and docs/checks.md from the compliance checks; tests compare them.
man:
	$(GO) test -tags '$(TAGS)' ./cmd/klp-audit ./cmd/klp-audit-fleet -run '^TestPackaged' -update
	$(GO) test ./record/schema -run '^TestEventsAreDocumented$$' -update
	$(GO) test ./report/guide -run '^TestChecksAreDocumented$$' -update

# Packages go to build/rpm. ARCH=s390x and ARCH=ppc64le cross-compile with Debian's compilers.
MACHINE := $(shell uname -m)
ARCH    ?= $(MACHINE)
TOPDIR  := $(CURDIR)/build/rpm
CROSS_s390x   := GOARCH=s390x CC=s390x-linux-gnu-gcc
CROSS_ppc64le := GOARCH=ppc64le CC=powerpc64le-linux-gnu-gcc
# Debian's rpm knows neither SUSE's macros nor the installed packages.
RPMLIB   := /usr/lib/rpm
LAB      := $(if $(wildcard /etc/debian_version),--nodeps --macros \
	'$(RPMLIB)/macros:$(RPMLIB)/platform/%{_target}/macros:$(RPMLIB)/fileattrs/*.attr:$(CURDIR)/packaging/macros.lab')
RPMBUILD := rpmbuild $(LAB) --define '_topdir $(TOPDIR)' --define '_buildhost localhost' \
	--define 'source_date_epoch_from_changelog 1' --define 'use_source_date_epoch_as_buildtime 1' \
	--define 'clamp_mtime_to_source_date_epoch 1'

srpm: rpm-deps
	rm -rf $(TOPDIR)/SOURCES
	packaging/source.sh $(TOPDIR)/SOURCES
	$(RPMBUILD) -bs $(TOPDIR)/SOURCES/klp-audit.spec

# What is built for another architecture cannot be tested here.
rpm: srpm
	env $(if $(filter $(MACHINE),$(ARCH)),,$(CROSS_$(ARCH))) $(RPMBUILD) -bb --target $(ARCH)-linux \
		$(if $(filter $(MACHINE),$(ARCH)),,--nocheck) $(RPMFLAGS) $(TOPDIR)/SOURCES/klp-audit.spec

# With openSUSE's rules.
rpmlint:
	$(SUDO) packaging/rpm-deps.sh lint
	rpmlint -c packaging/rpmlint.toml -r packaging/klp-audit-rpmlintrc $(TOPDIR)/SRPMS/*.rpm $(TOPDIR)/RPMS/*/*.rpm

# Pages to look at, in build/look: of a usual, an empty and a messy record, as pictures at 1,280 and 390
# pixels, light and dark, and as printed on A4.
look:
	$(SUDO) e2e/browser/deps.sh
	KLP_AUDIT_E2E=1 KLP_AUDIT_LOOK='$(CURDIR)/build/look' $(GO) test -tags '$(TAGS)' -count=1 -timeout 30m -run '^TestLook$$' ./e2e/browser
	@ls build/look

# The picture in the README: a report on the record that 0.1.0 wrote, in Chromium.
screenshot: build
	zstd -dqf cmd/klp-audit/testdata/0.1.0/record.jsonl.zst -o build/record.jsonl
	build/klp-audit report --input build/record.jsonl --at 2026-06-29T12:00:00Z --format html --output build/page.html
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1300 --screenshot=docs/page.webp file://$(CURDIR)/build/page.html

# In a throw-away copy of this machine, a real zypper installs the package, and then kernels and
# live patches, and the resulting history is printed.
demo: QUIETLY = > build/demo.log 2>&1 || { cat build/demo.log; exit 1; }
demo:
	@echo 'installing what is missing, and building the package: minutes, the first time' >&2
	@mkdir -p build
	@$(SUDO) packaging/deps.sh demo $(QUIETLY)
	@$(MAKE) --no-print-directory rpm RPMFLAGS=--nocheck $(QUIETLY)
	@$(ROOT) KLP_AUDIT_DEMO=$(TOPDIR)/RPMS/$(ARCH)/klp-audit-$(VERSION)-0.$(ARCH).rpm \
		$(GO) test -tags '$(TAGS)' -count=1 -v -run '^TestDemo$$' ./e2e $(QUIETLY)
	@sed -n 's/^demo: //p' build/demo.log

# `make test LONG=1` decides about a change. It adds more random records; packages that are built
# twice, rebuilt as in the build service, and built for other architectures; the race detector; and
# the tests as programs of those architectures, and those of the fleet with PostgreSQL 17.
LONG  ?=
SHORT  = $(if $(LONG),,-short)

test: deps check unit e2e $(if $(LONG),race test-arch fleet-pg17)

# The packages that unit tests.
PKGS  ?= ./...

# Of some packages those whose tests need no PostgreSQL: $(call without-pg,PACKAGE…).
without-pg = $(shell $(GO) list -test -f '{{.ImportPath}} {{join .Deps " "}} ' $(1) | sed -n '/\/internal\/pgtest /!s/^\([^ ]*\)\.test .*/\1/p')

unit:
	$(GO) test $(SHORT) -timeout 30m -tags '$(TAGS)' $(PKGS)

# What is tested while a package is built: the program, not its source, and without PostgreSQL.
unit-package:
	@$(MAKE) --no-print-directory unit PKGS='$(call without-pg,./audit/... ./cmd/... ./fleet/... ./internal/... ./plugin/... ./record/... ./report/... ./store/...)'

# Simulates LIVES lives of a host, compares them with what reports say about them, and prints a
# table. The same SEED gives the same lives. EXAMPLES is how many examples of each kind of false
# statement are shown, including inferred statements if it is more than one; KIND limits them to one
# kind. A few lives are part of unit.
LIVES    ?= 5000
EXAMPLES ?= 1
KIND     ?=

lives: SEED = 1
lives:
	@KLP_AUDIT_LIVES=$(LIVES) KLP_AUDIT_SEED=$(SEED) KLP_AUDIT_EXAMPLES=$(EXAMPLES) KLP_AUDIT_KIND='$(KIND)' \
		$(GO) test -tags '$(TAGS)' -count=1 -v -timeout 6h -run '^TestLives$$' ./internal/lives

# The stories with the real zypper: this machine's own, and a newer one.
e2e:
	$(ROOT) $(GO) test $(SHORT) -tags '$(TAGS)' -count=1 -timeout 60m ./e2e ./e2e/browser ./e2e/faults

# N random trials of each kind of misuse, and a table of the results (docs/robustness.md). The same
# SEED gives the same trials. A few of each kind are part of e2e.
N    ?= 50
SEED ?= $(shell date +%s)

robust:
	@mkdir -p build
	@$(ROOT) KLP_AUDIT_ROBUST=$(N) KLP_AUDIT_SEED=$(SEED) $(GO) test -tags '$(TAGS)' -count=1 -v -timeout 6h -run '^TestRobust$$' ./e2e/faults \
		> build/robust.log 2>&1; status=$$?; sed -n 's/^robust: //p' build/robust.log; \
		[ $$status = 0 ] || { grep -v '^robust: ' build/robust.log; exit $$status; }

# The tests that need PostgreSQL, with version 17 in a Debian 13 tree. While the tree is built, no
# server may start in it.
fleet-pg17: CACHE = $(or $(KLP_AUDIT_CACHE),/var/cache/klp-audit)
fleet-pg17:
	$(SUDO) env KLP_AUDIT_CACHE='$(CACHE)' e2e/tree.sh trixie-postgresql trixie postgresql-17,policy-rcd-declarative-deny-all
	$(ROOT) KLP_AUDIT_PG_TREE='$(CACHE)/trixie-postgresql' \
		$(GO) test $(SHORT) -tags '$(TAGS)' -count=1 -timeout 60m ./internal/pgtest ./fleet/... ./cmd/klp-audit-fleet

# Boots a machine in qemu with a live patch in its initrd, and with a stale one: 10 minutes.
test-boot: build
	$(SUDO) e2e/boot/deps.sh
	$(ROOT) env KLP_AUDIT_BOOT=1 $(GO) test -tags '$(TAGS)' -count=1 -v -timeout 60m ./e2e/boot

# The tests of the packages as programs of other architectures, in qemu, all at the same time;
# without PostgreSQL, whose servers would not run in qemu.
ARCHES ?= s390x ppc64le

test-arch:
	$(SUDO) e2e/arch/deps.sh $(ARCHES)
	@$(MAKE) --no-print-directory -j -O $(ARCHES:%=arch-%)

arch-%:
	@$(ROOT) TAGS='$(TAGS)' e2e/arch/run.sh $* ./plugin/... ./record/... ./store/... ./audit/... ./report/... $(call without-pg,./internal/... ./fleet/...)

check:
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet -tags '$(TAGS)' ./...
	$(GO) run $(STATICCHECK) -tags '$(TAGS)' ./...
	$(GO) mod tidy -diff

# The packages that start goroutines or hold locks, in code or tests. Tests that run in parallel do
# not count.
RACED = $(sort $(dir $(shell grep -lrE --include='*.go' --exclude-dir=e2e --exclude-dir=bench --exclude-dir=build --exclude-dir=vendor '$(SIDE_BY_SIDE)' .)))
SIDE_BY_SIDE := ^\s*go [a-zA-Z.]+[(]|\<sync[.]|\<errgroup[.]|[.]Go[(]

# What takes long anyway runs one program after the other.
race:
	$(GO) test -race -short -skip '^TestLongWork$$' -timeout 30m -tags '$(TAGS)' $(RACED)

# Every fuzz target for FUZZTIME.
fuzz:
	packaging/fuzz.sh $(FUZZTIME)

# What klp-audit costs, side by side with other programs: an hour; writes bench/RESULTS.md. With
# EARLIER=DIR, where an earlier version was built, commits are also compared with that version.
EARLIER ?=
bench: build
	$(BENCH)=full KLP_AUDIT_BENCH_EARLIER='$(EARLIER)' $(GO) test -tags '$(TAGS)' -count=1 -v -timeout 3h -run '^TestBench$$' ./bench

# The same with little data: fails if time or memory grow faster than the data.
bench-smoke: build
	$(BENCH)=smoke $(GO) test -tags '$(TAGS)' -count=1 -v -run '^TestBench$$' ./bench

# What the collector costs, side by side with PostgreSQL and sha256sum: half an hour; writes
# bench/RESULTS-fleet.md.
bench-fleet:
	$(BENCH)_FLEET=full $(GO) test -tags '$(TAGS)' -count=1 -v -timeout 2h -run '^TestFleet$$' ./bench

deps:
	$(SUDO) packaging/deps.sh

rpm-deps:
	$(SUDO) packaging/rpm-deps.sh $(ARCH)

clean:
	rm -rf build
