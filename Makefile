# `make help` lists the targets.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# VERSION is what the binaries say of themselves.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.1.0-dev)

# Images that docker-build makes; deploy and build-installer use the manager's.
IMG ?= ghcr.io/edgesync/manager:$(VERSION)
AGENT_IMG ?= ghcr.io/edgesync/edge-agent:$(VERSION)
CONTAINER_TOOL ?= docker

BIN := $(CURDIR)/bin
TOOLS := bin/tools

# A control plane that is already there is used as it is; otherwise `make kube` builds one.
ifdef KUBEBUILDER_ASSETS
override KUBEBUILDER_ASSETS := $(abspath $(KUBEBUILDER_ASSETS))
else
KUBEBUILDER_ASSETS := $(BIN)/kube
BUILD_KUBE := yes
endif
export KUBEBUILDER_ASSETS

# The end-to-end tests, the benchmarks and the quickstart start these binaries.
export EDGESYNC_BIN := $(BIN)

KUBECTL ?= $(or $(shell command -v kubectl),$(KUBEBUILDER_ASSETS)/kubectl)

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Development

.PHONY: manifests
manifests: $(TOOLS)/controller-gen ## Generate the CRDs and the manager's role.
	@echo "manifests: config/crd/bases, config/rbac/role.yaml"
	@$(TOOLS)/controller-gen crd paths=./api/v1alpha1 output:crd:dir=config/crd/bases
	@$(TOOLS)/controller-gen rbac:roleName=manager-role paths=./... output:rbac:dir=config/rbac

.PHONY: generate
generate: generate-deepcopy generate-protobuf generate-docs ## Generate deepcopy functions, protobuf messages, docs/api.md and docs/metrics.md.

.PHONY: generate-deepcopy
generate-deepcopy: $(TOOLS)/controller-gen
	@echo "generate: api/v1alpha1/zz_generated.deepcopy.go"
	@$(TOOLS)/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: generate-protobuf
generate-protobuf: $(TOOLS)/protogen $(TOOLS)/protoc-gen-go
	@echo "generate: internal/protocol/pb"
	@$(TOOLS)/protogen $(TOOLS)/protoc-gen-go internal/protocol/pb $(notdir $(wildcard internal/protocol/pb/*.proto))

.PHONY: generate-docs
generate-docs: $(TOOLS)/crd-ref-docs
	@echo "generate: docs/api.md"
	@$(TOOLS)/crd-ref-docs --log-level=ERROR --source-path=api/v1alpha1 --config=hack/tools/crd-ref-docs.yaml \
	  --renderer=markdown --output-path=docs/api.md
	@echo "generate: docs/metrics.md"
	@go run ./hack/metricsdoc > docs/metrics.md.new && mv docs/metrics.md.new docs/metrics.md

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the Go files and order their imports.
	@$(TOOLS)/golangci-lint fmt

.PHONY: vet
vet: ## Run go vet.
	@go vet ./...

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters.
	@echo "lint: golangci-lint run"
	@$(TOOLS)/golangci-lint run

.PHONY: lint-fix
lint-fix: $(TOOLS)/golangci-lint ## Run the linters and fix what they can fix.
	@$(TOOLS)/golangci-lint run --fix

.PHONY: verify
verify: verify-generated verify-modules verify-licenses verify-project verify-manifests lint ## Check that generated files, go.mod, licenses, PROJECT, manifests and style are in order.
	@echo "verify: all in order"

.PHONY: verify-generated
verify-generated:
	@hack/tools/verify-generated.sh

.PHONY: verify-modules
verify-modules:
	@for dir in . hack/tools hack/tools/licenses hack/tools/lint; do \
	  echo "verify: $$dir/go.mod is tidy"; \
	  go mod tidy -C $$dir -diff || { echo "$$dir/go.mod or go.sum is not tidy: run go mod tidy there" >&2; exit 1; }; \
	done
	@# Tidying hack/kube would pull in what only the tests of Kubernetes need.
	@echo "verify: hack/kube/go.mod is complete"
	@GOWORK=off go list -C hack/kube -mod=readonly -deps . >/dev/null

# What is shipped: the programs that the images hold, and the plugin of kubectl.
shipped := ./cmd ./edge-agent ./cmd/kubectl-edgesync

.PHONY: verify-licenses
verify-licenses: $(TOOLS)/go-licenses
	@echo "verify: licenses of all that is linked into $(shipped)"
	@hack/tools/verify-licenses.sh $(shipped)

.PHONY: govulncheck
govulncheck: $(TOOLS)/govulncheck ## Look for known vulnerabilities in what is shipped; needs https://vuln.go.dev, or GOVULNDB.
	@hack/tools/govulncheck.sh $(shipped)

.PHONY: verify-project
verify-project: $(TOOLS)/project
	@echo "verify: PROJECT"
	@$(TOOLS)/project PROJECT config/crd/bases

.PHONY: verify-manifests
verify-manifests: $(TOOLS)/kustomize
	@for dir in config/default config/local config/crd config/prometheus config/samples; do \
	  echo "verify: kustomize build $$dir"; $(TOOLS)/kustomize build $$dir >/dev/null; done

##@ Test

.PHONY: test
test: kube build ## Run every test: unit, simulation, envtest and end to end.
	@echo "test: go test -race ./..."
	@go test -race -timeout=25m $(TESTFLAGS) ./...

.PHONY: test-race
test-race: ## Repeat the tests that need no control plane COUNT times, to hunt for races and flakes.
	@# Ginkgo suites run once, and most of them on a control plane.
	@go test -race -timeout=25m -count=$(or $(COUNT),10) $(TESTFLAGS) $$(go list ./api/... ./internal/... ./edge-agent/... | \
	  grep -vxF "$$(grep -rl --include='*_test.go' RunSpecs internal | xargs -n1 dirname | sort -u | sed 's#^#github.com/edgesync/edgesync/#')")

.PHONY: test-fault
test-fault: kube build ## Disturb a fleet FAULTS times (500) at random, clocks included; SEED repeats a run.
	@go test -race -timeout=3h -v ./test/fault -clocks -faults=$(or $(FAULTS),500) $(if $(SEED),-seed=$(SEED)) $(TESTFLAGS)

.PHONY: bench
bench: kube build ## Run the benchmarks, or one group of them (BENCH=sync); writes bench/results.json.
	@mkdir -p bench
	@go run ./test/bench $(if $(BENCH),-group=$(BENCH))

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME (30s).
	@hack/tools/fuzz.sh $(or $(FUZZTIME),30s)

##@ Build

.PHONY: build
build: build-plugin ## Build bin/manager, bin/edge-agent and bin/kubectl-edgesync.
	@echo "build: bin/manager bin/edge-agent $(VERSION)"
	@$(GO_BUILD) -o bin/manager ./cmd
	@$(GO_BUILD) -o bin/edge-agent ./edge-agent

.PHONY: build-plugin
build-plugin: ## Build bin/kubectl-edgesync, the plugin of kubectl.
	@echo "build: bin/kubectl-edgesync $(VERSION)"
	@$(GO_BUILD) -o bin/kubectl-edgesync ./cmd/kubectl-edgesync
	@cp cmd/kubectl-edgesync/kubectl_complete-edgesync bin/

GO_BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false \
  -ldflags "-s -w -X github.com/edgesync/edgesync/internal/version.Version=$(VERSION)"

.PHONY: kube
kube: ## Build etcd, the Kubernetes control plane and kubectl into bin/kube, unless KUBEBUILDER_ASSETS is set.
ifdef BUILD_KUBE
	@hack/kube/build.sh bin/kube
else
	@echo "kube: using $(KUBEBUILDER_ASSETS)"
endif

.PHONY: docker-build
docker-build: ## Build the images of the manager and of the edge agent.
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) -t $(IMG) .
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) -t $(AGENT_IMG) -f Dockerfile.edge-agent .

.PHONY: build-installer
build-installer: $(TOOLS)/kustomize ## Write dist/install.yaml: all that a cluster needs, with the image IMG.
	@rm -rf dist && mkdir dist
	@cd dist && ../$(TOOLS)/kustomize create --resources ../config/default && \
	  ../$(TOOLS)/kustomize edit set image ghcr.io/edgesync/manager=$(IMG)
	@$(TOOLS)/kustomize build dist >dist/install.yaml
	@rm dist/kustomization.yaml
	@echo "build-installer: dist/install.yaml with $(IMG)"

.PHONY: clean
clean: ## Remove what make has built; the quickstart's data stays (make quickstart-down removes it).
	@rm -rf bin dist bench/results.json

##@ Quickstart

.PHONY: quickstart
quickstart: kube build ## Start a control plane, the manager and two edge agents on this machine; ARGS are its flags.
	@go run ./hack/quickstart up $(ARGS)

.PHONY: quickstart-status
quickstart-status: ## Show what runs.
	@go run ./hack/quickstart status

.PHONY: quickstart-down
quickstart-down: ## Stop it all and remove .quickstart.
	@go run ./hack/quickstart down

##@ Deployment

# These act on the cluster of the current kubeconfig.

.PHONY: run
run: ## Run the manager on this machine; ARGS are its flags.
	@go run ./cmd $(ARGS)

.PHONY: install
install: $(TOOLS)/kustomize ## Install the CRDs.
	@$(TOOLS)/kustomize build config/crd | "$(KUBECTL)" apply --server-side -f -

.PHONY: uninstall
uninstall: $(TOOLS)/kustomize ## Remove the CRDs, and with them every ObjectSync and EdgeNode.
	@$(delete_syncs)
	@$(TOOLS)/kustomize build config/crd | "$(KUBECTL)" delete --ignore-not-found -f -

.PHONY: deploy
deploy: build-installer ## Install everything, with the image IMG.
	@"$(KUBECTL)" apply --server-side -f dist/install.yaml

.PHONY: undeploy
undeploy: $(TOOLS)/kustomize ## Remove everything that deploy installed.
	@$(delete_syncs)
	@$(TOOLS)/kustomize build config/default | "$(KUBECTL)" delete --ignore-not-found -f -

# While the manager still runs: it takes the objects away from the nodes and then the
# finalizers off, without which the CRDs cannot go.
delete_syncs = for crd in objectsyncs.sync.edgesync.io clusterobjectsyncs.sync.edgesync.io; do \
  if "$(KUBECTL)" get crd $$crd >/dev/null 2>&1; then "$(KUBECTL)" delete $$crd --all --all-namespaces; fi; \
  done

# Tools: built from the modules that hack/tools pins, when missing or when a pin changes.

build_tool = @echo "tools: building $(@F)"; CGO_ENABLED=0 GOWORK=off go build -C $(1) -buildvcs=false -o $(CURDIR)/$@ $(2); touch $@

hack_tools := hack/tools/go.mod hack/tools/go.sum

$(TOOLS)/controller-gen: $(hack_tools)
	$(call build_tool,hack/tools,sigs.k8s.io/controller-tools/cmd/controller-gen)

$(TOOLS)/kustomize: $(hack_tools)
	$(call build_tool,hack/tools,sigs.k8s.io/kustomize/kustomize/v5)

$(TOOLS)/crd-ref-docs: $(hack_tools)
	$(call build_tool,hack/tools,github.com/elastic/crd-ref-docs)

$(TOOLS)/protoc-gen-go: $(hack_tools)
	$(call build_tool,hack/tools,google.golang.org/protobuf/cmd/protoc-gen-go)

$(TOOLS)/govulncheck: $(hack_tools)
	$(call build_tool,hack/tools,golang.org/x/vuln/cmd/govulncheck)

$(TOOLS)/protogen: $(hack_tools) hack/tools/protogen/main.go
	$(call build_tool,hack/tools,./protogen)

$(TOOLS)/project: $(hack_tools) hack/tools/project/main.go
	$(call build_tool,hack/tools,./project)

$(TOOLS)/golangci-lint: hack/tools/lint/go.mod hack/tools/lint/go.sum
	$(call build_tool,hack/tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(TOOLS)/go-licenses: hack/tools/licenses/go.mod hack/tools/licenses/go.sum
	$(call build_tool,hack/tools/licenses,github.com/google/go-licenses/v2)
