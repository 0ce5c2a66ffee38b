# shellcheck shell=bash disable=SC2034
# Shared by the scripts in this folder. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$(realpath -m "${SGLANG_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sglang-rs}")
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
default_model=$cache/models/SmolLM2-135M-Instruct.Q4_1.gguf
minilm_model=$cache/models/all-MiniLM-L6-v2
nvrtc_lib=$cache/nvrtc
gemma_model=$cache/models/gemma-3-270m-q4_k_m.gguf

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Prints the comment at the top of the script, which is its help.
help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# The command that installs a package here: DEBIAN_NAME FEDORA_NAME ARCH_NAME
install_command() {
    local sudo=""
    [ "$EUID" = 0 ] || sudo="sudo "
    if command -v apt-get >/dev/null; then
        say "${sudo}apt-get install -y $1"
    elif command -v dnf >/dev/null; then
        say "${sudo}dnf install -y $2"
    elif command -v pacman >/dev/null; then
        say "${sudo}pacman -S --needed $3"
    else
        say "install $1 with this system's package manager"
    fi
}

# Waits for the lock on the cache, which the calling script then holds until it ends.
lock_cache() {
    mkdir -p "$cache"
    exec 9>"$cache/.lock"
    flock --nonblock 9 || {
        say "waiting for another script that is filling $cache"
        flock 9
    }
}

# For checkouts that share a build folder: all must use the same name for libtorch, or each would compile its bindings again.
name_libtorch() {
    [ -z "${CARGO_TARGET_DIR:-}" ] || export LIBTORCH="${LIBTORCH:-$(readlink -f "$root/.libtorch")}"
}
