#!/bin/bash
# One machine of the `local` cloud: supervises it, and is the first process inside it.
#
#   machine.sh supervise   boots the machine, again for every reboot; ends when it is powered off
#   machine.sh init        the machine's first process: TERM powers it off, USR1 reboots it
#   machine.sh probe       succeeds where machines of this isolation are possible
#   machine.sh end         (isolation `plain` only) ends what a dead machine left running
#
# The working folder is the machine's own. The environment says the rest:
#   MACHINE_ISOLATION full|user|plain, MACHINE_ID, MACHINE_NAME, MACHINE_IP, MACHINE_SSH_PORT,
#   MACHINE_USER, MACHINE_UID, MACHINE_GID, MACHINE_HIDDEN (folders it must not see, one a line),
#   MACHINE_ACCOUNT (the account that a machine of root's gets), MACHINE_GRACE (how many seconds its
#   services may take to stop when it is powered off).
# Standard output is its console.
set -eu
umask 022 # The machine's root folder takes its mode from one that is made here.

readonly REBOOT=66 SEARCH_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly REBOOT_GRACE=3 # How many seconds services may take to stop before a reboot.
# What playbooks of machines leave on a host that was taken for one.
readonly LEFTOVERS="etc/ocim var/lib/ocim-balancer var/lib/ocim-demo"
folder=$PWD

say() {
    echo "machine: $*"
}

# Writes "PID START-TIME" of this shell to a file, as the mounted /proc counts: before a machine
# mounts its own, that is the pid outside. The start time tells a reused pid from the real one.
write_identity() {
    local pid rest
    read -r pid rest < /proc/self/stat
    # shellcheck disable=SC2086
    set -- "$1" ${rest##*) }
    echo "$pid ${21}" > "$1.new"
    mv "$1.new" "$1"
}

inside_namespaces() {
    local namespaces=(--mount --uts --ipc --pid --fork --kill-child --propagation private)
    case $MACHINE_ISOLATION in
        full) unshare "${namespaces[@]}" "$@" ;;
        user) unshare --user --map-root-user "${namespaces[@]}" "$@" ;;
        plain) "$@" ;;
    esac
}

supervise() {
    exec 9> supervised
    flock -n 9 || exit 0 # Another one is already at it.
    write_identity supervisor
    local status=$REBOOT
    while [ "$status" = "$REBOOT" ]; do
        rm -f init
        cat /proc/sys/kernel/random/uuid > boot_id
        status=0
        inside_namespaces bash "$folder/machine.sh" init 9>&- || status=$?
    done
    say "powered off"
}

probe() {
    case $MACHINE_ISOLATION in
        full) inside_namespaces bash -c 'mkdir -p upper work root && mount -t proc proc /proc &&
            mount -t overlay machine -o lowerdir=/,upperdir=upper,workdir=work root' ;;
        user) inside_namespaces bash -c 'mount -t proc proc /proc && mount -t tmpfs tmp /tmp' ;;
    esac
}

# ---- What a machine sees ------------------------------------------------------------------------

# Everything of the host's root file system as it is now, and from then on its own.
enter_full() {
    mkdir -p upper work root private/home
    mkdir -p -m 700 private/root
    mount -t overlay machine -o lowerdir=/,upperdir=upper,workdir=work,index=off root
    [ -e cleared ] || clear_leftovers
    mount -t proc proc root/proc
    mount --bind boot_id root/proc/sys/kernel/random/boot_id
    mount -t sysfs -o ro sys root/sys
    mount -t tmpfs -o mode=755 run root/run
    mount -t tmpfs -o mode=1777 tmp root/tmp
    mount --bind private/root root/root
    mount --bind private/home root/home
    make_devices root/dev
    hide_folders root
    hostname "$MACHINE_NAME"
    # A link into the host's /run would dangle.
    rm -f root/etc/resolv.conf
    cat /etc/resolv.conf > root/etc/resolv.conf 2>/dev/null || true

    etc=/etc/ocim
    furnish "root$etc"
    mkdir root/run/host root/run/sshd
    cd root
    pivot_root . run/host
    cd /
    umount -l run/host
    rmdir run/host
    [ -e $etc/installed ] || install_system
}

# The machine begins as the host is, but not as a machine that somebody made of the host.
clear_leftovers() {
    local left
    for left in $LEFTOVERS; do
        rm -rf "root/$left"
    done
    touch cleared
}

make_devices() {
    local device
    mount -t tmpfs -o mode=755 dev "$1"
    for device in null zero full random urandom tty; do
        : > "$1/$device"
        mount --bind "/dev/$device" "$1/$device"
    done
    mkdir "$1/pts" "$1/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/pts"
    mount -t tmpfs -o mode=1777 shm "$1/shm"
    ln -s pts/ptmx "$1/ptmx"
    ln -s /proc/self/fd "$1/fd"
    ln -s fd/0 "$1/stdin"
    ln -s fd/1 "$1/stdout"
    ln -s fd/2 "$1/stderr"
}

# Puts an empty folder over each of those that the machine must not see, below the root given.
hide_folders() {
    local hidden
    while read -r hidden; do
        if [ -n "$hidden" ] && [ -d "$1$hidden" ]; then
            mount -t tmpfs -o mode=755,size=1m hidden "$1$hidden"
        fi
    done <<< "$MACHINE_HIDDEN"
}

# The first boot's work: names, users, and nothing of the host's identity.
install_system() {
    rm -f /etc/ssh/ssh_host_*
    echo "$MACHINE_NAME" > /etc/hostname
    echo "$MACHINE_IP $MACHINE_NAME" >> /etc/hosts
    # The network is shared with the host: a package must not start listening everywhere.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    # `*` is no password, yet unlike `!` it does not lock the account.
    id "$MACHINE_ACCOUNT" > /dev/null 2>&1 || useradd -M -s /bin/bash -p '*' "$MACHINE_ACCOUNT"
    install -d -o "$MACHINE_ACCOUNT" -g "$(id -gn "$MACHINE_ACCOUNT")" "/home/$MACHINE_ACCOUNT"
    if [ -d /etc/sudoers.d ]; then
        echo "$MACHINE_ACCOUNT ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/ocim
        chmod 440 /etc/sudoers.d/ocim
    fi
    touch $etc/installed
}

# The host's file system, with a home, /tmp and processes of its own.
enter_user() {
    mkdir -p home
    mount -t proc proc /proc
    mount --bind boot_id /proc/sys/kernel/random/boot_id
    own_passwd > passwd
    mount --bind passwd /etc/passwd
    # sshd would give each terminal to the group `tty`, which is not mapped in here.
    grep -v '^tty:' /etc/group > group
    mount --bind group /etc/group
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts
    [ -L /dev/ptmx ] || mount --bind /dev/pts/ptmx /dev/ptmx
    hostname "$MACHINE_NAME"
    etc=$folder/home/.ocim
    furnish "$etc"
    cd home
    MACHINE_HIDDEN="$MACHINE_HIDDEN"$'\n'"$HOME"$'\n'/tmp$'\n'/run/user hide_folders ""
    chmod 1777 /tmp
    # The working folder still is the home from before it was hidden; now it comes back alone.
    mkdir -p "$folder/home"
    mount --no-canonicalize --bind . "$folder/home"
    cd "$folder/home"
}

# The user's line of /etc/passwd has the machine's own name for it, and says that home is the machine's.
own_passwd() {
    awk -F: -v uid="$MACHINE_UID" -v name="$MACHINE_USER" '$3 != uid && $1 != name' /etc/passwd
    echo "$MACHINE_USER:x:$MACHINE_UID:$MACHINE_GID::$folder/home:/bin/bash"
}

# Where namespaces are forbidden: nothing is hidden, processes are known by a mark.
enter_plain() {
    say "namespaces are not permitted here: it shares files and processes with the host"
    mkdir -p home
    etc=$folder/home/.ocim
    furnish "$etc"
    cd home
}

# Puts the machine's own configuration into the folder given.
furnish() {
    mkdir -p "$1/boot.d"
    cp authorized_keys "$1/authorized_keys"
    cp -p host_key host_key.pub "$1/"
}

# ---- What a machine does ------------------------------------------------------------------------

init() {
    # Not HUP for reboots: it stays ignored where `nohup` started all this.
    trap 'exit 0' TERM
    trap 'exit $REBOOT' USR1
    write_identity init
    local control=$folder/../../control boot_id has_ssh=yes
    read -r boot_id < boot_id
    [ -e "$control/never_ssh" ] && has_ssh=
    say "$MACHINE_NAME boots ($boot_id)"
    while [ -e "$control/hold_boot" ]; do
        # A trap runs during `wait`, but not during a foreground command.
        sleep 0.05 & wait $!
    done

    [ -e host_key ] || ssh-keygen -q -t ed25519 -N '' -C "root@$MACHINE_NAME" -f host_key
    echo '-----BEGIN SSH HOST KEY KEYS-----'
    cat host_key.pub
    echo '-----END SSH HOST KEY KEYS-----'
    cp host_key.pub host_keys.new && mv host_keys.new host_keys

    "enter_$MACHINE_ISOLATION"
    trap 'stop 0 "$MACHINE_GRACE"' TERM
    trap 'stop $REBOOT $REBOOT_GRACE' USR1
    run_boot_folder "$boot_id"
    [ -z "$has_ssh" ] || { run_sshd "$boot_id"; say "sshd listens on $MACHINE_IP:$MACHINE_SSH_PORT"; }
    sleep infinity &
    local idle=$!
    while :; do wait "$idle" || true; done
}

# Starts a program of the machine with a clean environment, as the user whom it belongs to.
start() {
    local boot_id=$1 home=/root
    shift
    [ "$MACHINE_ISOLATION" = full ] || home=$folder/home
    local clean=(env -i "PATH=$SEARCH_PATH" "HOME=$home" LC_ALL=C.UTF-8 "OCIM_MACHINE=$MACHINE_ID"
        "OCIM_BOOT_FOLDER=$etc/boot.d")
    [ "$MACHINE_ISOLATION" != plain ] || clean+=("OCIM_BOOT_ID=$boot_id")
    if [ "$MACHINE_ISOLATION" = user ]; then
        clean=(unshare --user "--map-user=$MACHINE_UID" "--map-group=$MACHINE_GID" -- "${clean[@]}")
    fi
    "${clean[@]}" "$@" < /dev/null &
}

run_boot_folder() {
    local program
    for program in "$etc"/boot.d/*; do
        if [ -f "$program" ] && [ -x "$program" ]; then
            say "starts $program"
            start "$1" "$program"
        fi
    done
}

run_sshd() {
    local environment="PATH=$SEARCH_PATH OCIM_MACHINE=$MACHINE_ID \"OCIM_BOOT_FOLDER=$etc/boot.d\""
    [ "$MACHINE_ISOLATION" = full ] || environment+=" \"HOME=$folder/home\""
    [ "$MACHINE_ISOLATION" != plain ] || environment+=" OCIM_BOOT_ID=$1"
    start "$1" "$(command -v sshd)" -D -e -f /dev/null -h "$etc/host_key" -p "$MACHINE_SSH_PORT" \
        -o ListenAddress="$MACHINE_IP" -o PidFile=none -o UsePAM=no -o StrictModes=no \
        -o AuthorizedKeysFile="\"$etc/authorized_keys\"" -o PermitRootLogin=prohibit-password \
        -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no \
        -o Subsystem='sftp internal-sftp' -o SetEnv="$environment"
}

# Stops the services, which get so many seconds, then the machine, with the exit status given.
stop() {
    local tenth tenths=$(($2 * 10))
    trap '' TERM USR1
    set +e
    say "stops"
    find_others
    [ ${#others[@]} = 0 ] || kill -TERM "${others[@]}" 2> /dev/null
    for ((tenth = 0; tenth < tenths; tenth++)); do
        find_others
        [ ${#others[@]} = 0 ] && break
        sleep 0.1
    done
    # With the first process of a pid namespace the kernel ends all others.
    [ $$ = 1 ] || end_others
    exit "$1"
}

# A process that begins another program bears no mark for a moment: two looks must find nothing.
end_others() {
    local empty_looks=0
    while [ "$empty_looks" -lt 2 ]; do
        find_others
        if [ ${#others[@]} = 0 ]; then
            empty_looks=$((empty_looks + 1))
        else
            empty_looks=0
            kill -KILL "${others[@]}" 2> /dev/null || true
        fi
        sleep 0.05
    done
}

# Sets `others` to the machine's processes except this one.
find_others() {
    local process pid
    others=()
    if [ $$ = 1 ]; then
        for process in /proc/[0-9]*; do
            pid=${process#/proc/}
            [ "$pid" = 1 ] || others+=("$pid")
        done
    else
        find_plain_others
    fi
}

# Without a pid namespace: this process's descendants, and whoever bears the machine's mark.
find_plain_others() {
    local -A parents=()
    local process pid rest ancestor marked=$'\n'
    marked+=$(grep -lzsx "OCIM_MACHINE=$MACHINE_ID" /proc/[0-9]*/environ || true)$'\n'
    for process in /proc/[0-9]*; do
        read -r pid rest < "$process/stat" || continue
        # shellcheck disable=SC2086
        set -- ${rest##*) }
        [ "$1" = Z ] || parents[$pid]=$2 # A zombie has ended.
    done 2> /dev/null
    for pid in "${!parents[@]}"; do
        ancestor=${parents[$pid]}
        while [ "${ancestor:-0}" != 0 ] && [ "$ancestor" != $$ ]; do ancestor=${parents[$ancestor]:-0}; done
        if [ "$ancestor" = $$ ] || [[ $marked == *$'\n'"/proc/$pid/environ"$'\n'* ]]; then
            others+=("$pid")
        fi
    done
}

case $1 in
    supervise | init | probe) "$1" ;;
    end) end_others ;;
    *) echo "machine.sh: what is '$1'?" >&2; exit 2 ;;
esac
