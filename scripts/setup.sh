#!/bin/bash
# Makes this machine ready for `make demo`: the programs that Ocim drives, a Rust toolchain, and
# Ansible's packages; with --tests for `make test`, too: what takes the API's document and our mail, the
# servers that sites share, and for root the OpenStack that tests start. May be run again at any time; a
# second run finds all there.
#
# As root it installs what is missing, starts no service and makes no database. Anybody else is
# told in one line what to ask for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

fail() {
    echo "setup: $*" >&2
    exit 1
}

# Whether what the tests need is wanted, too.
tests=
[ "${1:-}" != --tests ] || tests=yes

# The same interpreter makes the virtual environments later.
python=${ANSIBLE_PYTHON_PATH:-/usr/bin/python3}

has_postgres() {
    local bin
    for bin in /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        [ -x "$bin/initdb" ] && return
    done
    return 1
}

# Prints the Debian packages whose programs are missing.
list_missing() {
    local program package
    has_postgres || echo postgresql
    while read -r program package; do
        command -v "$program" >/dev/null || echo "$package"
    done <<-END
		haproxy haproxy
		sshd openssh-server
		ssh-keygen openssh-client
		git git
		curl curl
		cc build-essential
		make make
		ps procps
		flock util-linux
	END
    [ -x "$python" ] || echo python3
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    [ -z "$tests" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
    [ -z "$tests" ] || while read -r program package; do
        command -v "$program" >/dev/null || echo "$package"
    done <<-END
		mariadbd mariadb-server
		named bind9
		nsupdate bind9-dnsutils
	END
}

# Prints the Debian packages of the private OpenStack that tests start (tests/private_openstack) which are
# missing. Of the services there are the Python packages, and the configuration that comes with them:
# the packages proper would bring hypervisors, and start at the next boot.
list_missing_of_openstack() {
    local package
    for package in mariadb-server rabbitmq-server uwsgi-core uwsgi-plugin-python3 python3-keystone \
        python3-placement glance-common nova-common neutron-common python3-swift python3-xattr \
        python3-openstackclient python3-neutronclient sudo; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# Installs packages, without anything being started now or at the next boot.
install_packages() {
    local policy=/usr/sbin/policy-rc.d clusters=/etc/postgresql-common/createcluster.d lent=() log
    # Package scripts ask the one before they start a service (101 means no), and read the other
    # before they make a database. Both are lent for the time of the installation.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        lent+=("$policy")
    fi
    mkdir -p "$clusters"
    echo 'create_main_cluster = false' >"$clusters/ocim.conf"
    log=$(mktemp)
    lent+=("$clusters/ocim.conf" "$log")
    # shellcheck disable=SC2064 # the list as it is now
    trap "rm -f ${lent[*]}" EXIT
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || fail "apt-get update failed: is there a network?"
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" \
        </dev/null >"$log" 2>&1 || fail "apt-get could not install $*: $(tail -n 3 "$log")"
    rm -f "${lent[@]}"
    trap - EXIT
    if command -v systemctl >/dev/null; then
        local service package
        while read -r service package; do
            case " $* " in
            *" $package "*) systemctl disable --quiet "$service" 2>/dev/null || true ;;
            esac
        done <<-END
			haproxy haproxy
			named bind9
			ssh openssh-server
			postgresql postgresql
			mariadb mariadb-server
			rabbitmq-server rabbitmq-server
			epmd rabbitmq-server
		END
    fi
}

ensure_packages() {
    local missing
    mapfile -t missing < <(list_missing)
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        fail "missing are the programs of these Debian packages: ${missing[*]}"
    elif [ "$(id -u)" != 0 ]; then
        fail "please ask for: apt-get install --no-install-recommends ${missing[*]}"
    fi
    echo "setup: installing ${missing[*]}" >&2
    install_packages "${missing[@]}"
    mapfile -t missing < <(list_missing)
    [ ${#missing[@]} -eq 0 ] || fail "still missing after their installation: ${missing[*]}"
}

# Only root can run it: nobody else is asked for anything.
ensure_openstack() {
    local missing
    [ "$(id -u)" = 0 ] || return 0
    command -v dpkg-query >/dev/null || fail "the OpenStack that tests start comes from Debian's packages"
    mapfile -t missing < <(list_missing_of_openstack)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "setup: installing an OpenStack for tests, which takes minutes: ${missing[*]}" >&2
    install_packages "${missing[@]}"
}

ensure_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
    [ -n "$found" ] || fail "cargo $wanted or newer is missing: get it from https://rustup.rs"
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "cargo is $found, but $wanted or newer is needed: rustup update stable"
}

# Fetches the Python packages of all our playbooks once.
ensure_wheels() {
    local requirements=(playbooks/*/requirements.txt) arguments=() file stamp
    [ -e "${requirements[0]}" ] || return 0
    stamp=$({ "$python" -VV && cat "${requirements[@]}"; } | sha256sum | cut -d' ' -f1)
    [ "$(cat "$OCIM_WHEELS_DIR/.stamp" 2>/dev/null)" = "$stamp" ] && return
    for file in "${requirements[@]}"; do
        arguments+=(--requirement "$file")
    done
    mkdir -p "$OCIM_WHEELS_DIR"
    "$python" -m venv "$OCIM_CACHE_DIR/pip" || fail "$python could not make a virtual environment"
    "$OCIM_CACHE_DIR/pip/bin/pip" --disable-pip-version-check download --quiet \
        --only-binary :all: --dest "$OCIM_WHEELS_DIR" "${arguments[@]}" ||
        fail "pip could not fetch Ansible's packages: is there a network?"
    rm -rf "$OCIM_CACHE_DIR/pip"
    echo "$stamp" >"$OCIM_WHEELS_DIR/.stamp"
}

# Fetches the tools that take the API's document as its users would; Node.js comes as a Python
# package.
ensure_contract_tools() {
    local stamp sources=tests/contract
    stamp=$({ "$python" -VV && cat $sources/requirements.txt $sources/package-lock.json; } |
        sha256sum | cut -d' ' -f1)
    [ "$(cat "$CONTRACT_TOOLS_DIR/.stamp" 2>/dev/null)" = "$stamp" ] && return
    rm -rf "$CONTRACT_TOOLS_DIR"
    mkdir -p "$CONTRACT_TOOLS_DIR"
    "$python" -m venv "$CONTRACT_TOOLS_DIR/venv" ||
        fail "$python could not make a virtual environment"
    "$CONTRACT_TOOLS_DIR/venv/bin/pip" --disable-pip-version-check install --quiet \
        --only-binary :all: --requirement $sources/requirements.txt ||
        fail "pip could not fetch the tools for the API's document: is there a network?"
    cp $sources/package.json $sources/package-lock.json "$CONTRACT_TOOLS_DIR"
    PATH="$CONTRACT_TOOLS_DIR/venv/bin:$PATH" npm ci --silent --no-fund --no-audit \
        --prefix "$CONTRACT_TOOLS_DIR" ||
        fail "npm could not fetch the tools for the API's document: is there a network?"
    echo "$stamp" >"$CONTRACT_TOOLS_DIR/.stamp"
}

# Fetches a server of tests that comes as Python packages: its folder, its requirements.
ensure_python_server() {
    local folder=$1 requirements=$2 stamp
    stamp=$({ "$python" -VV && cat "$requirements"; } | sha256sum | cut -d' ' -f1)
    [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && return
    rm -rf "$folder"
    "$python" -m venv "$folder" || fail "$python could not make a virtual environment"
    "$folder/bin/pip" --disable-pip-version-check install --quiet \
        --only-binary :all: --requirement "$requirements" ||
        fail "pip could not fetch what $requirements names: is there a network?"
    echo "$stamp" >"$folder/.stamp"
}

# Clones share Cargo's target folder, and Cargo tells them apart by nothing but the files' times:
# whoever comes after another clone has its own sources built anew, or it would run the other's.
ensure_own_build() {
    local mark=$CARGO_TARGET_DIR/.clone
    [ "$(cat "$mark" 2>/dev/null)" = "$PWD" ] && return
    mkdir -p "$CARGO_TARGET_DIR"
    find . -name '*.rs' -not -path './target/*' -exec touch {} +
    echo "$PWD" >"$mark"
}

ensure_packages
ensure_rust
mkdir -p "$OCIM_CACHE_DIR" 2>/dev/null || fail "can't write to $OCIM_CACHE_DIR: set OCIM_CACHE_DIR"
ensure_wheels
if [ -n "$tests" ]; then
    ensure_openstack
    ensure_contract_tools
    ensure_python_server "$MAIL_SINK_DIR" tests/mail/requirements.txt
    ensure_python_server "$MONGODB_PEER_DIR" tests/mongodb/requirements.txt
fi
ensure_own_build
