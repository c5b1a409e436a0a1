# What needs root (installing packages, the end-to-end tests) runs through sudo where the
# user is not root.

VERSION ?= 0.1.0
DESTDIR ?=
GO      ?= go
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
ROOT    := $(SUDO) env "PATH=$$PATH" "HOME=$$HOME" KLP_AUDIT_E2E=1

PREFIX  := $(DESTDIR)/usr
LDFLAGS := -s -w -X main.version=$(VERSION)
# Nothing is loaded into SQLite at run time.
TAGS    := sqlite_omit_load_extension

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

.PHONY: all build install demo test unit e2e check bench fuzz deps clean
all: build

build:
	$(GO) build -trimpath -buildmode=pie -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o build/ ./cmd/...

install: build
	install -D -m 0755 build/klp-audit $(PREFIX)/bin/klp-audit
	install -D -m 0755 build/klp-audit-plugin $(PREFIX)/lib/zypp/plugins/commit/klp-audit
	install -D -m 0755 packaging/dracut/99zz-klp-audit/module-setup.sh $(PREFIX)/lib/dracut/modules.d/99zz-klp-audit/module-setup.sh

# A real zypper installs, upgrades and downgrades in a throw-away copy of this machine,
# and the history of it is printed.
demo: deps
	@mkdir -p build
	@$(ROOT) env KLP_AUDIT_DEMO=1 $(GO) test -tags '$(TAGS)' -count=1 -v -run '^TestDemo$$' ./e2e > build/demo.log 2>&1 \
		|| { cat build/demo.log; exit 1; }
	@sed -n 's/^demo: //p' build/demo.log

test: deps check unit e2e

unit:
	$(GO) test -tags '$(TAGS)' ./...

# The stories with the real zypper: that of this machine, and a newer one.
e2e:
	$(ROOT) $(GO) test -tags '$(TAGS)' -count=1 -timeout 30m ./e2e

check:
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet -tags '$(TAGS)' ./...
	$(GO) run $(STATICCHECK) -tags '$(TAGS)' ./...
	$(GO) mod tidy -diff
	$(GO) test -race -short -tags '$(TAGS)' ./...

# Every fuzz target for FUZZTIME.
fuzz:
	packaging/fuzz.sh $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench . -benchmem -tags '$(TAGS)' ./...

deps:
	$(SUDO) packaging/deps.sh

clean:
	rm -rf build
