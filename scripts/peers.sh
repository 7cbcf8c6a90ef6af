#!/bin/bash
# Prints a table of the real programs that tests run against: version, and how many tests of the
# integration binary, by their names, passed with each. Takes the log of `cargo test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
log=${1:-/dev/null}

# Names of the integration tests that passed.
passed=$(awk '/^ +Running /{inside = /tests\/it\//} / Doc-tests /{inside = 0}
    inside && /^test .* \.\.\. ok( <[0-9.]+s>)?$/{print $2}' "$log")

row() { # peer, version, pattern of test names
    local count
    count=$(grep -cE "$3" <<<"$passed") || true
    printf '%-12s %-28s %5s\n' "$1" "${2:-missing}" "$count"
}

postgres_version() {
    local bin
    for bin in /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        [ ! -x "$bin/postgres" ] || "$bin/postgres" --version | cut -d' ' -f3
    done | sort -V | tail -n 1
}

ansible_version() {
    local wheels=("$OCIM_WHEELS_DIR"/ansible_core-*.whl)
    [ ! -e "${wheels[0]}" ] || basename "${wheels[-1]}" | cut -d- -f2
}

total=$(awk '/^test result: /{ok += $4; bad += $6} END{printf "%d passed, %d failed", ok, bad}' "$log")
echo
printf '%-12s %-28s %5s\n' peer version tests
row PostgreSQL "$(postgres_version)" 'postgres|store|migrations|projections|logs|http::|cli::|crash|journey|balancers'
row KurrentDB "a double${OCIM_TEST_KURRENTDB_URL:+, and a server}" 'kurrentdb'
nova=$(dpkg-query -W -f '${Version}' nova-common 2>/dev/null) || true
row OpenStack "${nova:+Nova $nova}" '^openstack::'
row HAProxy "$(haproxy -v 2>/dev/null | sed -n '1s/.*version \([^ ]*\).*/\1/p')" '^haproxy|crash|journey|balancers'
row MariaDB "$(mariadbd --version 2>/dev/null | sed 's/.*Ver \([^ ]*\).*/\1/')" '^provisioning::(mysql|program)'
row RabbitMQ "$(dpkg-query -W -f '${Version}' rabbitmq-server 2>/dev/null)" '^provisioning::(rabbitmq|program)'
row SecantusDB "$(sed -n 's/^SecantusDB==//p' tests/mongodb/requirements.txt) (for MongoDB)" '^provisioning::(mongodb|program)'
row BIND "$(named -v 2>/dev/null | cut -d' ' -f2)" '^dns::([^:]+$|program::(a_sites_names_come_into_bind|the_doctor))'
row OpenSSH "$(ssh -V 2>&1 | sed 's/^OpenSSH_\([^ ,]*\).*/\1/')" 'local_cloud|^ansible|^haproxy|crash|journey|balancers'
row Ansible "$(ansible_version)" '^ansible|^haproxy|crash|journey|balancers'
row git "$(git --version | cut -d' ' -f3)" '^ansible.*(branch|tag|commit|git)'
row Python "$("${ANSIBLE_PYTHON_PATH:-/usr/bin/python3}" -V 2>/dev/null | cut -d' ' -f2)" '^ansible|^haproxy|crash|journey|balancers'
printf '%-12s %s\n' 'all tests' "$total"
