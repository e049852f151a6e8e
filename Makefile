# The front door; CMake does the work.
.DEFAULT_GOAL := build
.PHONY: build run test check bench fuzz format install clean help
PACK ?= $(FM_PACK)
SECONDS ?= 60
PREFIX ?= /usr/local

build: ## the library and the program, into build/
	cmake --preset release && cmake --build build
run: ## set up, build and analyze drawn pictures (PACK=DIR)
	sh scripts/run.sh $(if $(PACK),--pack $(PACK))
test: ## everything: plain, sanitizers, fuzzers for a moment, aarch64
	sh scripts/test.sh
check: ## the plain build's tests only
	cmake --preset tests && cmake --build --preset tests && ctest --preset tests
bench: build ## time every stage on drawn pictures (PACK=DIR); accuracy and peers: bench/README.md
	build/apps/facemill/facemill bench $(if $(PACK),--pack $(PACK))
fuzz: ## every fuzzer for SECONDS=60
	sh scripts/fuzz.sh $(SECONDS)
format: ## clang-format over our C files
	git ls-files '*.c' '*.h' | xargs clang-format -i
install: build ## into PREFIX=/usr/local
	cmake --install build --prefix $(PREFIX)
clean: ## remove all build folders
	rm -rf build build-asan build-tsan build-fuzz build-minimal build-aarch64
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)
