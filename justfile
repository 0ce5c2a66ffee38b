# Daily actions; `just` lists them. Each calls a script or cargo, which work without just too.

_default:
    @just --list

# Fetch libtorch and the default model (--cuda, --no-model)
setup *options:
    scripts/setup {{options}}

# Build and serve on 127.0.0.1:30000; options go to sglang-launch
serve *options:
    scripts/serve {{options}}

# Everything continuous integration checks
test:
    scripts/test

# The same without starting servers
fast:
    scripts/test --fast

# Tests of one crate: just t sglang-ipc
t package *options:
    cargo nextest run --release -p {{package}} {{options}}

# Clippy with warnings as errors
lint:
    cargo clippy --release --workspace --all-targets -- -D warnings

# Format all code
fmt:
    cargo fmt --all

# Licences, sources and bans of dependencies (needs cargo-deny)
deny:
    cargo deny --offline check bans licenses sources

# Load generator against a running server: just bench serving --help
bench *options:
    cargo run --release -p sglang-bench -- {{options}}

# Documentation of the workspace's crates
doc:
    cargo doc --release --workspace --no-deps
