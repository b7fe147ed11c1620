#!/usr/bin/env bash
# Runs every check of this project. On a fresh Debian machine with Rust and Node it installs what
# is missing: redis-server, cargo-hack, cargo-fuzz, and the npm packages of tests/e2e.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

step "what is missing is installed"
if ! command -v redis-server >/dev/null; then
    as_root apt-get update -qq
    # The service is not wanted: tests start their own servers.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq redis-server
fi
for tool in cargo-hack cargo-fuzz; do
    command -v "$tool" >/dev/null || [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/$tool" ] \
        || cargo install --locked "$tool"
done
(cd tests/e2e && npm ci --no-audit --no-fund)

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --all-targets --all-features -- -D warnings

step "unit, integration and example tests"
cargo test --all-features --lib --bins --tests --examples

step "doc tests"
cargo test --all-features --doc

step "plain cargo test, as a newcomer runs it"
cargo test

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features --document-private-items

step "every combination of features"
RUSTFLAGS="-D warnings" cargo hack check --feature-powerset --no-dev-deps --target-dir target/hack

step "benchmarks run"
cargo bench --all-features --benches -- --test

step "the examples, driven by the real client"
cargo build --all-features --examples
(cd tests/e2e && npm test)

step "fuzz targets, a few seconds each"
# The sanitizers of libFuzzer want flags of the nightly compiler.
for target in token cookie; do
    (cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none "$target" -- -max_total_time=5 -verbosity=0)
done

step "all is well"
