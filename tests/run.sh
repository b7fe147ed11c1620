#!/usr/bin/env bash
# Runs the checks of this project, and prints the time of each.
#
#     tests/run.sh          Rust, Redis and the Node client: what a change needs
#     tests/run.sh --all    also a browser, the Python and Rust clients, other Redis servers, and
#                           every three features together instead of every two
#
# It needs Rust with rustfmt and clippy, Node 20 or newer, and npm. On Debian it installs what else is
# missing; elsewhere it names what to install. No check is skipped because something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
    "") all=false ;;
    --all) all=true ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

target=${CARGO_TARGET_DIR:-$PWD/target}
python=$target/python
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# --- The time of each step ------------------------------------------------------------------------

times=()
step=

end_step() {
    [ -z "$step" ] || times+=("$(printf '%5d s  %s' $((SECONDS - begun)) "$step")")
}

step() {
    end_step
    step=$*
    begun=$SECONDS
    printf '\n== %s\n' "$step"
}

# Set by the last line, which a run that fails or is stopped does not reach.
complete=false

report() {
    end_step
    printf '\n'
    printf '%s\n' "${times[@]}"
    $complete && printf '%5d s  all is well\n' "$SECONDS" || printf 'FAILED: %s\n' "$step"
}
trap report EXIT

# --- What is missing ------------------------------------------------------------------------------

packages=()

# need PACKAGE COMMAND…: the Debian package is needed unless the command succeeds.
need() {
    "${@:2}" >/dev/null 2>&1 || packages+=("$1")
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
    [ ${#packages[@]} != 0 ] || return 0
    if ! command -v apt-get >/dev/null || ! as_root true; then
        echo "missing: install what Debian calls ${packages[*]}" >&2
        exit 1
    fi
    as_root apt-get update -qq
    # No service is started: the tests start their own servers.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# need_tool NAME WHERE: a program that this script can't install.
need_tool() {
    command -v "$1" >/dev/null && return
    echo "missing: $1; install $2" >&2
    exit 1
}

cargo_tool() {
    command -v "$1" >/dev/null || cargo install --locked "$1"
}

step "what is missing is installed"
need_tool cargo "Rust"
need_tool cargo-fmt "Rust's component rustfmt"
need_tool cargo-clippy "Rust's component clippy"
need_tool node "Node 20 or newer"
node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || {
    echo "too old: node $(node --version); install Node 20 or newer" >&2
    exit 1
}
need_tool npm "npm"
need redis-server command -v redis-server
if $all; then
    need chromium test -x "${CHROMIUM:-/usr/bin/chromium}"
    need python3-venv python3 -c "import ensurepip, venv"
    need python3-pip python3 -m pip --version
    # rust_socketio speaks TLS with the system's OpenSSL.
    need pkg-config command -v pkg-config
    need libssl-dev test -e /usr/include/openssl/ssl.h
fi
install_packages
cargo_tool cargo-hack
cargo_tool cargo-fuzz
(cd tests/e2e && npm ci --no-audit --no-fund)
# The tests run the modules of the example.
(cd examples/express && npm ci --no-audit --no-fund)
if $all; then
    [ -x "$python/bin/python" ] || python3 -m venv "$python"
    "$python/bin/python" -m pip install -q --disable-pip-version-check -r tests/e2e/requirements.txt
fi

# --- Rust -----------------------------------------------------------------------------------------

# All commands select the same packages and features, so that one build of the dependencies serves what checks,
# and another one what runs.
everything=(--workspace --all-features)
# Most tests wait for a server rather than for a processor.
export RUST_TEST_THREADS=$((2 * $(nproc)))

step "format"
cargo fmt --all --check
cargo fmt --check --manifest-path tests/e2e/rust_client/Cargo.toml
cargo fmt --check --manifest-path examples/tower_sessions/Cargo.toml

step "lints"
cargo clippy "${everything[@]}" --all-targets -- -D warnings

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps "${everything[@]}" --document-private-items

step "combinations of features"
# Warnings are denied for this crate alone, so that the dependencies stay as the steps above built them.
# The default features are those of `axum`.
if $all; then depth=(--depth 3); else depth=(--depth 2); fi
cargo hack clippy --feature-powerset "${depth[@]}" --exclude-features default --no-dev-deps -- -D warnings

step "unit, integration and example tests; each benchmark once"
cargo test "${everything[@]}" --all-targets

step "doc tests"
cargo test "${everything[@]}" --doc

step "plain cargo test, as a newcomer runs it"
cargo test

step "fuzz targets, a few seconds each"
# The coverage flags of libFuzzer want the nightly compiler, or one that takes itself for it.
for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    # What it finds goes to the first folder; the seeds stay as they are.
    mkdir -p "$target/corpus/$name" "fuzz/corpus/$name"
    RUSTC_BOOTSTRAP=1 cargo fuzz run --dev --sanitizer none "$name" "$target/corpus/$name" "fuzz/corpus/$name" \
        -- -max_total_time=5 -verbosity=0
done

# --- The examples, driven by real clients -----------------------------------------------------------

step "the examples, driven by the Node client"
cargo build "${everything[@]}" --examples
(cd tests/e2e && npm test)

if $all; then
    step "Python clients"
    (cd tests/e2e/python_client && "$python/bin/python" -m unittest)

    step "the Rust client"
    cargo build --locked --manifest-path tests/e2e/rust_client/Cargo.toml --target-dir "$target/rust_client"
    (cd tests/e2e && npm run test:rust)

    step "Express 4 and connect-redis 8"
    (cd tests/e2e/express/4 && npm ci --no-audit --no-fund)
    (cd tests/e2e && EXPRESS_MODULES=$PWD/express/4 node --test --test-timeout=600000 express.test.mjs)

    step "tower-sessions and axum-login, on SQLite and on Redis"
    cargo build --locked --manifest-path examples/tower_sessions/Cargo.toml --target-dir "$target/tower_sessions"
    (cd tests/e2e && npm run test:tower-sessions)

    step "browser"
    (cd tests/e2e && npm run test:browser)

    if [ -e tests/redis-servers.sh ]; then
        step "other Redis servers are fetched"
        # It prints their paths, separated by colons.
        paths=$(bash tests/redis-servers.sh)
        IFS=: read -ra servers <<<"$paths"
        for server in "${servers[@]}"; do
            step "Redis tests on ${server#"$target/redis-servers/"}"
            REDIS_SERVER=$server cargo test "${everything[@]}" --test it redis
            REDIS_SERVER=$server cargo test "${everything[@]}" --test redis
            (cd tests/e2e && REDIS_SERVER=$server node --test --test-timeout=600000 redis.test.mjs)
        done
    fi
fi

complete=true
