# Read by tests/systemd.sh and tests/readme.sh: a Debian whose PID 1 is a real systemd, in a container of systemd-nspawn.

place="$root/target/appliance"
cross="$root/target/cross"
. "$root/deploy/needs.sh"
. "$root/deploy/cross/apt.sh"
suite=${SUITE:-bookworm}
base="$place/base-$suite$kind"
box="$place/box$kind"

# What every box has before anything comes; $more comes from the script.
content=systemd,systemd-sysv,dbus,libpam-systemd,udev,ca-certificates,$more

# The tree from which every box is copied, made once for this content.
need_base() {
    [ "$(cat "$base/.complete" 2>/dev/null)" != "$content" ] || return 0
    need debootstrap debootstrap
    echo "making a Debian $suite in $base" >&2
    rm -rf "$base"
    mkdir -p "$place/debs"
    debootstrap --variant=minbase --cache-dir="$place/debs" \
        --include="$content" "$suite" "$base" "$(mirror)" >"$place/debootstrap.log"
    echo box >"$base/etc/hostname"
    echo "$content" >"$base/.complete"
}

# boot [OPTION...]: a fresh copy with a systemd of its own; options are systemd-nspawn's, such as --private-network, which
# leaves it nothing but its own loopback.
boot() {
    rm -rf "$box"
    cp -a "$base" "$box"
    # nspawn needs a terminal, which script(1) gives, and a /run that is no disk; the variables keep the old groups of
    # control away, and the capabilities let systemd enforce DeviceAllow= through BPF.
    cat >"$place/nspawn.sh" <<'END'
#!/bin/sh
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 UNIFIED_CGROUP_HIERARCHY=1
exec unshare -m --propagation private sh -c 'mount -t tmpfs tmpfs /run
exec systemd-nspawn -q -b --register=no --keep-unit --console=interactive \
    --capability=CAP_BPF,CAP_PERFMON,CAP_MKNOD --system-call-filter="bpf perf_event_open" "$@"' nspawn "$@"
END
    script -qfc "sh $place/nspawn.sh -D $box $*" "$place/console.log" >/dev/null 2>&1 &
    console=$!
    for _ in $(seq 60); do
        sleep 1
        leader=$(first_process "$console") || continue
        case $(inside systemctl is-system-running 2>/dev/null) in running | degraded) return 0 ;; esac
    done
    tail -n 20 "$place/console.log" >&2
    return 1
}

# first_process PID: the systemd among the descendants.
first_process() {
    of=$1
    while of=$(ps -o pid= --ppid "$of" | awk 'NR == 1 { print $1 }') && [ -n "$of" ]; do
        [ "$(cat "/proc/$of/comm" 2>/dev/null)" != systemd ] || { echo "$of"; return 0; }
    done
    return 1
}

# inside COMMAND...: runs it in the box.
inside() {
    timeout "${patience:-180}" nsenter -t "$leader" -m -u -i -n -p -C -r -w \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

power_off() {
    inside systemctl poweroff >/dev/null 2>&1 || true
    for _ in $(seq 60); do
        kill -0 "$console" 2>/dev/null || return 0
        sleep 1
    done
    return 1
}
