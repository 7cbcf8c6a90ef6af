# shellcheck shell=bash
# Where things are that the clone itself does not hold; to be sourced.
#
#   OCIM_CACHE_DIR     all of it; ~/.cache/ocim unless given
#   CARGO_TARGET_DIR   what cargo builds
#   CONTRACT_TOOLS_DIR  tools that take the API's document as its users would
#   MAIL_SINK_DIR      the mail server that tests send mail to
#   MONGODB_PEER_DIR   the server that tests take for MongoDB
#   OCIM_WHEELS_DIR    Python packages that playbooks need, so that no run needs a network

export OCIM_CACHE_DIR="${OCIM_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/ocim}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$OCIM_CACHE_DIR/target}"
export CONTRACT_TOOLS_DIR="${CONTRACT_TOOLS_DIR:-$OCIM_CACHE_DIR/contract}"
export MAIL_SINK_DIR="${MAIL_SINK_DIR:-$OCIM_CACHE_DIR/mail-sink}"
export MONGODB_PEER_DIR="${MONGODB_PEER_DIR:-$OCIM_CACHE_DIR/mongodb-peer}"
export OCIM_WHEELS_DIR="${OCIM_WHEELS_DIR:-$OCIM_CACHE_DIR/wheels}"

# sshd and haproxy live where an ordinary user's PATH does not lead; the program `ocim` is where `make build` puts it.
export PATH="$CARGO_TARGET_DIR/demo:$PATH:/usr/sbin:/sbin"

# rustup looks for its toolchains below HOME; where HOME is another one, they lie beside cargo.
cargo_home=$(dirname "$(dirname "$(command -v cargo || echo /nowhere/bin/cargo)")")
if [ -z "${RUSTUP_HOME:-}" ] && [ ! -d "${HOME:-/nowhere}/.rustup" ] && [ -d "$cargo_home/../.rustup" ]; then
    RUSTUP_HOME=$(cd "$cargo_home/../.rustup" && pwd)
    export RUSTUP_HOME
fi
unset cargo_home
