# Orderlog. `make` alone says what there is.

GO          ?= go
TOOLS       := $(CURDIR)/.tools
GOLANGCI    := v2.15.0
GOFUMPT     := v0.12.0
GOVULNCHECK := v1.9.0

.DEFAULT_GOAL := help
.PHONY: help run build test race test-clients node lint fmt bench faults faults-plants guards fuzz scan clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## run the server, with a PostgreSQL of its own unless DATABASE_URL is set
	@./bin/app serve

build: ## build bin/app
	@$(GO) build -o bin/app ./cmd/app

test: ## run all tests, with a PostgreSQL of their own unless TEST_DATABASE_URL is set
	$(GO) test -timeout 20m ./...
	cd bench && $(GO) test -timeout 20m ./...
	cd faults && $(GO) test -timeout 20m ./...

race: ## run all tests under the race detector
	$(GO) test -race -timeout 20m ./...

test-clients: build node clients/node_modules/.package-lock.json ## try the program with the clients of its users; needs Node.js
	cd clients && npm test

node:
	@node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null || \
		{ echo "make test-clients needs Node.js 18.19 or newer, with npm: apt install nodejs npm, brew install node, or see https://nodejs.org"; exit 1; }

clients/node_modules/.package-lock.json: clients/package.json clients/package-lock.json
	cd clients && npm ci --no-audit --no-fund
	@touch $@

lint: $(TOOLS)/golangci-lint-$(GOLANGCI) $(TOOLS)/gofumpt-$(GOFUMPT) ## check style and layers (the first time builds the linter)
	@out=$$($(TOOLS)/gofumpt-$(GOFUMPT) -l .); test -z "$$out" || { echo "not formatted, run make fmt:"; echo "$$out"; exit 1; }
	$(TOOLS)/golangci-lint-$(GOLANGCI) run ./...
	cd bench && $(GO) vet ./...
	cd faults && $(GO) vet ./...

fmt: $(TOOLS)/gofumpt-$(GOFUMPT) ## format the code
	$(TOOLS)/gofumpt-$(GOFUMPT) -w .

bench: ## measure against the peers, in under 15 minutes; NAME=append runs one, NAME=append,storm two
	cd bench && $(GO) run . $(if $(NAME),-name '$(NAME)')

fuzz: ## look for inputs that break what is promised of them, FOR=30s each target; NAME=REGEXP runs some
	GO='$(GO)' .ci/fuzz '$(or $(FOR),30s)' '$(NAME)'

scan: $(TOOLS)/govulncheck-$(GOVULNCHECK) node ## look for known vulnerabilities in what is used; GOVULNDB=URL takes another database
	@for module in $$(git ls-files '*go.mod' | xargs -n 1 dirname); do \
		echo "== $$module"; (cd $$module && $(TOOLS)/govulncheck-$(GOVULNCHECK) $(if $(GOVULNDB),-db $(GOVULNDB)) ./...) || exit 1; \
	done
	cd clients && npm audit --audit-level=moderate

faults: ## break all that can break and judge what came of it; FOR=45s SEED=7 FAULTS=none (a soak) PLANT=NAME (a mistake) REPORT=FILE
	@cd faults && $(GO) build -o ../bin/faults . && ../bin/faults -for $(or $(FOR),45s) $(if $(SEED),-seed $(SEED)) \
		$(if $(FAULTS),-faults $(FAULTS)) $(if $(PLANT),-plant $(PLANT)) $(if $(REPORT),-report '$(abspath $(REPORT))')

faults-plants: ## make mistakes in the program, one after the other, and see that the faults' checker finds each
	@cd faults && $(GO) build -o ../bin/faults . && ../bin/faults -plants

guards: ## take the guards of docs/security.md out, one after the other, and see that their tests fail; THREAT=REGEXP takes some
	@cd faults && $(GO) build -o ../bin/faults . && ../bin/faults -guards '$(or $(THREAT),.)'

clean: ## remove what was built; data stays
	rm -rf bin $(TOOLS)

$(TOOLS)/golangci-lint-$(GOLANGCI):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/gofumpt-$(GOFUMPT):
	GOBIN=$(TOOLS) $(GO) install mvdan.cc/gofumpt@$(GOFUMPT)
	mv $(TOOLS)/gofumpt $@

$(TOOLS)/govulncheck-$(GOVULNCHECK):
	GOBIN=$(TOOLS) $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv $(TOOLS)/govulncheck $@
