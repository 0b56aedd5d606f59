# What a developer and CI run; CARGO_TARGET_DIR is respected.

.PHONY: test lint bench

test: ## everything that must hold
	cargo build --release
	cargo test --workspace --release

lint: ## style, as CI wants it
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: ## the workloads of tests/bench, weir alone
	cargo build --release
	python3 tests/bench/compare.py "$${CARGO_TARGET_DIR:-target}/release/weir"
