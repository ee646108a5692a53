# Every target works on a fresh machine with Go: `make demo` to try, `make test` to prove.
BIN := bin/megadisk
KILLS ?= 500
DEMO ?= $(CURDIR)/demo
PREFIX ?= /usr/local
VERSION ?= 0.1~git$(shell git rev-list --count HEAD 2>/dev/null || echo 0)

.PHONY: converge converge-peers build demo test race peers crash each soak docs-check bench desktop posix fuzz release install deb lint clean deps

build: ## the program, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/megadisk

demo: build ## an embedded MEGA server, mounted on $(DEMO); Ctrl-C unmounts
	@.ci/deps
	@$(BIN) demo $(DEMO)

deps: ## what the tests need, installed where possible
	@.ci/deps test

test: deps build ## everything, real mounts included
	@.ci/test

race: ## everything under the race detector
	go test -race -timeout 20m ./...

SEEDS ?= 300
converge: ## two mounts and others change one account, from so many seeds
	MEGADISK_SEEDS=$(SEEDS) go test -count=1 -timeout 10h -run TestConvergence ./writeback

converge-peers: ## the same with megajs as the other client
	@dir=$$(mktemp -d) && trap "rm -rf $$dir" EXIT && cd integration/peers && cp package.json package-lock.json agent.mjs $$dir && \
	(cd $$dir && npm ci --silent) && cd ../.. && MEGADISK_MEGAJS=$$dir $(MAKE) converge SEEDS=$(SEEDS)

peers: deps ## clients written by others against megatest, each reading what the other wrote
	MEGADISK_REQUIRE_PEERS=1 go test -count=1 -v -timeout 15m ./integration/peers/...

crash: deps build ## KILLS (default 500) kills of the mounting process while programs write
	MEGADISK_KILLS=$(KILLS) go test -count=1 -v -timeout 0 -run TestKilledWhileProgramsWrite ./integration

each: deps build ## one life of a mount, again and again: the process dies before each change on its disk in turn, the power is cut, it turns read-only, each gets EIO, each request and each answer is lost
	MEGADISK_CHANGES=1-9999 go test -count=1 -v -timeout 0 -run 'TestDiesAtEachChangeOfItsState|TestEachChangeOfItsStateFails|TestPowerIsCutAtEachChange|TestDiskTurnsReadOnlyAtEachChange|TestEach(Request|Answer)IsLost' ./integration

HOURS ?= 3
soak: deps build ## HOURS (0.5 is half of one) of programs at work with random faults, kills and remounts; what grows fails
	MEGADISK_SOAK=$(HOURS)h MEGADISK_LONG=1 go test -count=1 -v -timeout 0 -run TestSoak ./integration

bench: build ## figures, each beside a plain folder and go-fuse's loopback in the same run
	go run ./integration/bench

docs-check: build ## repeats the figures that docs/PERFORMANCE.md marks, and fails where one is worse than its tolerance says (ONLY='reading: ' for a part)
	go run ./integration/docscheck $(if $(ONLY),-only '$(ONLY)')

desktop: deps build ## Thunar, Caja and Nemo on a mount, and GNOME's keyring, in a screen that nobody sees; takes the pictures in docs/img (apt: thunar tumbler mousepad caja python3-caja nemo nemo-python gnome-keyring xvfb xdotool imagemagick)
	MEGADISK_DESKTOP=$(CURDIR)/docs/img MEGADISK_REQUIRE_PROGRAMS=1 go test -count=1 -v -timeout 20m ./integration/desktop

posix: build ## POSIX suites that lie on this machine (MEGADISK_PJDFSTEST=DIR, MEGADISK_FSX and MEGADISK_FSSTRESS=PROGRAM), and our own exercisers
	go test -count=1 -v -timeout 30m ./integration/posix
	go test -count=1 -timeout 20m -run 'Posix|Model|Exercise' ./integration

fuzz: ## each fuzz target in turn, for FUZZ=30s
	@.ci/fuzz

release: ## the program in dist/, built twice and equal, with its bill of materials and licences
	@.ci/release

install: build ## below $(DESTDIR): the program, helpers of mount(8), units, completions, manual
	packaging/install $(BIN) "$(DESTDIR)" "$(PREFIX)"

deb: build ## a Debian package, in bin/
	packaging/deb $(BIN) bin $(VERSION)

lint:
	go vet ./... && go tool -modfile=.ci/tools/go.mod staticcheck ./...

clean:
	rm -rf bin
