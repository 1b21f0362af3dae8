#!/bin/sh
# The package under a real systemd: installed, killed, frozen, stopped, upgraded, removed, purged; then the tarball. One
# line a step.
#
#   tests/systemd.sh [BINARY]
#
# Needs root on Debian, with a mirror in reach the first time; everything lies in target/appliance. BINARY is built by
# deploy/cross-build.sh unless given. SUITE is the Debian: bookworm, or bullseye for systemd 247 and glibc 2.31, which are
# close to JetPack 5. Exit code 1 if a step failed.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# All that the package recommends: this box has no network.
kind='' more=mosquitto,mosquitto-clients,libstdc++6
. "$root/tests/appliance/box.sh"
. "$root/tests/appliance/mqtt.sh"

failed=0
# step WHAT COMMAND...: says ok or FAIL, and goes on. Not in an `if`, where the shell would pass over faults.
step() {
    what=$1
    shift
    set +e
    (set -e; "$@") >"$place/step.log" 2>&1
    code=$?
    set -e
    if [ $code = 0 ]; then
        echo "ok    $what"
    else
        echo "FAIL  $what"
        tail -n 12 "$place/step.log" | sed 's/^/      /'
        failed=1
    fi
}

# not COMMAND...: a command that has to fail; the shell passes over `! COMMAND`.
not() {
    if "$@"; then
        echo "must fail: $*"
        return 1
    fi
}

# property NAME: of the unit, as systemd has it.
property() {
    inside systemctl show --property="$1" --value diffused.service
}

is_active() {
    [ "$(property ActiveState)" = active ]
}

# eventually SECONDS COMMAND...
eventually() {
    end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || { echo "not within the time: $*"; return 1; }
        sleep 1
    done
}

logged() {
    inside journalctl -u diffused --no-pager | grep -q "$1"
}

installs() {
    cp "$deb" "$box/root/diffused.deb"
    inside apt-get install -y /root/diffused.deb
    is_active
    inside runuser -u diffused -- diffused check
    [ "$(inside systemctl is-enabled diffused)" = enabled ]
    [ "$(inside systemctl is-enabled diffused-powermode || true)" = disabled ]
}

verifies() {
    inside systemd-analyze verify diffused.service diffused-powermode.service 2>"$place/verify.log" || true
    # What is not in the box is not wrong: the manual's reader, and the program of a Jetson.
    not grep -v 'man diffused(1)\|nvpmodel is not executable' "$place/verify.log"
    # Before systemd 250 there is no threshold.
    [ "$suite" = bullseye ] || inside systemd-analyze security --threshold=20 diffused.service | tail -n 1
}

# What the hardening takes and what it must leave.
is_confined() {
    pid=$(property MainPID)
    inside cat "/proc/$pid/status" >"$place/status"
    grep -q '^Seccomp:.*2$' "$place/status"
    grep -q '^NoNewPrivs:.*1$' "$place/status"
    grep -q '^CapEff:.*0000000000000000$' "$place/status"
    not inside nsenter -t "$pid" -m touch /etc/x
    not inside nsenter -t "$pid" -m touch /usr/x
    [ -z "$(inside nsenter -t "$pid" -m ls -A /root)" ]
    inside nsenter -t "$pid" -m ls -d /proc/meminfo /sys/class/thermal /sys/fs/cgroup/cgroup.controllers
    inside sh -c "tr '\\0' '\\n' </proc/$pid/environ" >"$place/environment"
    grep -x MALLOC_ARENA_MAX=1 "$place/environment"
    grep -x ORT_DISABLE_TELEMETRY=1 "$place/environment"
    # Nor did it try to keep what it would tell.
    not ls "$box/var/lib/diffused/.cache"
}

keeps_optimised_graphs() {
    [ -n "$(find "$box/var/cache/diffused" -type f | head -n 1)" ]
}

# The bytes on MQTT are those of the status, and of the same request on the command line.
makes_a_picture() {
    listen "$1"
    ask "$1" '"seed":7,"output":{"format":"bmp"}'
    hear "$1" picture >"$place/picture.bmp"
    eventually 30 said "$1" done
    sum=$(sha256sum <"$place/picture.bmp" | cut -d ' ' -f 1)
    grep -q "\"sha256\":\"$sum\"" "$place/$1.statuses"
    inside diffused generate "$prompt" --seed 7 -o /root/own.bmp
    [ "$(sha256sum <"$box/root/own.bmp" | cut -d ' ' -f 1)" = "$sum" ]
}

# Fields of its own, so that the journal can be asked for a job; the prompt is in none of them.
tells_the_journal() {
    inside journalctl -u diffused DIFFUSED_JOB=first -o json --no-pager >"$place/job.json"
    [ "$(wc -l <"$place/job.json")" = 1 ]
    for field in DIFFUSED_CLIENT DIFFUSED_MS DIFFUSED_PICTURES CODE_FILE SYSLOG_IDENTIFIER; do
        grep -q "\"$field\"" "$place/job.json"
    done
    inside journalctl -u diffused -o json --all --no-pager >"$place/journal.json"
    grep -q '"PRIORITY" *: *"6"' "$place/journal.json"
    not grep -F "$prompt" "$place/journal.json"
}

# slow_job ID: some seconds of work, begun.
slow_job() {
    listen "$1"
    ask "$1" '"seed":1,"steps":150,"count":4,"sampler":"heun","output":{"format":"bmp"}'
    eventually 30 said "$1" started
}

# came_once ID: the job is done, and nothing says so a second time.
came_once() {
    eventually 90 said "$1" done
    sleep 2
    gather "$1"
    [ "$(grep -c '"state":"done"' "$place/$1.statuses")" = 1 ]
}

has_restarted() {
    [ "$(property NRestarts)" = 1 ]
}

survives_a_kill() {
    slow_job killed
    inside systemctl kill --signal=KILL diffused
    not said killed done
    eventually 30 has_restarted
    came_once killed
    [ "$(grep -c '"state":"started"' "$place/killed.statuses")" -ge 2 ]
}

# With a watchdog of 6 s, from a drop-in, so that nobody waits for the unit's 60.
is_woken_from_a_freeze() {
    mkdir -p "$box/etc/systemd/system/diffused.service.d"
    printf '[Service]\nWatchdogSec=6\nRestartSec=1\n' >"$box/etc/systemd/system/diffused.service.d/quick.conf"
    inside systemctl daemon-reload
    inside systemctl restart diffused
    frozen=$(property MainPID)
    inside systemctl kill --signal=STOP diffused
    eventually 40 logged 'Watchdog timeout'
    eventually 40 is_active
    [ "$(property MainPID)" != "$frozen" ]
}

stops_cleanly() {
    inside systemctl stop diffused
    [ "$(property Result) $(property ExecMainStatus)" = "success 0" ]
    [ "$(inside mosquitto_sub -h 127.0.0.1 -t diffused/box/availability -C 1 -W 5)" = offline ]
    inside systemctl start diffused
    eventually 20 is_online
}

# got PATH: what stands there over HTTP.
got() {
    inside bash -c "exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET $1 HTTP/1.0\r\n\r\n' >&3; cat <&3"
}

is_ready_over_http() {
    got /readyz | grep -q '^HTTP/1.1 200 '
}

serves_pages() {
    cp "$box/etc/diffused/diffused.toml" "$place/good.toml"
    sed -i 's/^# listen = .*/listen = "127.0.0.1:9464"/' "$box/etc/diffused/diffused.toml"
    inside systemctl restart diffused
    eventually 20 is_ready_over_http
    got /metrics | grep -q '^diffused_ready 1'
    cat "$place/good.toml" >"$box/etc/diffused/diffused.toml"
    inside systemctl restart diffused
    eventually 20 is_online
    not got /readyz
}

is_not_tried_again_with_a_faulty_configuration() {
    cp "$box/etc/diffused/diffused.toml" "$place/good.toml"
    echo '[limits' >>"$box/etc/diffused/diffused.toml"
    not inside systemctl restart diffused
    sleep 8
    [ "$(property ExecMainStatus) $(property ActiveState)" = "78 failed" ]
    cat "$place/good.toml" >"$box/etc/diffused/diffused.toml"
    inside systemctl reset-failed diffused
    inside systemctl start diffused
}

# A changed configuration, a job that runs and a later version.
upgrades() {
    echo '# changed by hand' >>"$box/etc/diffused/diffused.toml"
    slow_job upgraded
    before=$(property MainPID)
    cp "$newer" "$box/root/newer.deb"
    inside apt-get install -y /root/newer.deb
    [ "$(inside dpkg-query -W -f '${Version}' diffused)" = "$(dpkg-deb -f "$newer" Version)" ]
    is_active
    [ "$(property MainPID)" != "$before" ]
    grep -q '^# changed by hand' "$box/etc/diffused/diffused.toml"
    came_once upgraded
}

goes_back() {
    inside apt-get install -y --allow-downgrades /root/diffused.deb
    [ "$(inside dpkg-query -W -f '${Version}' diffused)" = "$(dpkg-deb -f "$deb" Version)" ]
    is_active
    makes_a_picture fourth
}

# format_of_store [NEW]: says it, or changes it.
format_of_store() {
    python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1], isolation_level=None) as store:
    print(*store.execute("PRAGMA user_version" + "".join(f" = {new}" for new in sys.argv[2:])).fetchone() or "")' \
        "$box/var/lib/diffused/store/store.sqlite" "$@"
}

# What an older version does with the store of a newer one.
refuses_a_newer_store() {
    inside systemctl stop diffused
    format=$(format_of_store)
    format_of_store 99
    sum=$(sha256sum <"$box/var/lib/diffused/store/store.sqlite")
    not inside systemctl start diffused
    sleep 8
    [ "$(property ExecMainStatus) $(property ActiveState)" = "78 failed" ]
    inside journalctl -u diffused -p err --no-pager | grep 'has format 99, which only a newer version'
    [ "$(sha256sum <"$box/var/lib/diffused/store/store.sqlite")" = "$sum" ]
    format_of_store "$format"
    inside systemctl reset-failed diffused
    inside systemctl start diffused
    is_active
}

removes() {
    inside apt-get remove -y diffused
    not is_active
    not ls "$box/usr/bin/diffused"
    ls -d "$box/etc/diffused/diffused.toml" "$box/var/lib/diffused/store"
}

purges() {
    inside apt-get purge -y diffused
    for left in etc/diffused var/lib/diffused var/cache/diffused etc/systemd/system/diffused.service.d \
        etc/systemd/system/multi-user.target.wants/diffused.service; do
        not ls -d "$box/$left"
    done
}

# As docs/install.md has it for systems without dpkg.
unpacks() {
    links=$(readlink "$box/lib")
    tar -C "$box" --exclude ./etc/diffused/diffused.toml -xzf "$tarball"
    tar -C "$box" --skip-old-files -xzf "$tarball" ./etc/diffused/diffused.toml
    [ "$(readlink "$box/lib")" = "$links" ]
    inside systemd-sysusers
    inside systemd-tmpfiles --create diffused.conf
    inside systemctl daemon-reload
    inside systemctl enable --now diffused
    makes_a_picture unpacked
}

# A step that fails before its end must be seen.
planted() {
    false
    true
}

mkdir -p "$place"
case $(step planted planted) in FAIL*) ;; *) echo "systemd.sh: a planted fault is not seen" >&2; exit 70 ;; esac
need systemd-nspawn systemd-container
need_base
binary=${1:-$("$root/deploy/cross-build.sh" amd64)}
deb=$("$root/deploy/package.sh" amd64 "$binary" | head -n 1)
tarball="${deb%.deb}.tar.gz"
newer=$(REVISION=2 "$root/deploy/package.sh" amd64 "$binary" | head -n 1)
trap 'power_off' EXIT
boot --private-network
step "installs, starts and is enabled" installs
step "the units have no fault, and 2.0 or better for their security" verifies
step "makes a picture, right after the installation" makes_a_picture first
step "is confined, and still reads what it needs" is_confined
step "keeps optimised graphs in its cache" keeps_optimised_graphs
step "the journal has one entry of a job, with its fields and without its prompt" tells_the_journal
step "kill -9 during a job: it is done once" survives_a_kill
step "a frozen process is woken by the watchdog" is_woken_from_a_freeze
step "makes a picture afterwards" makes_a_picture second
step "stops cleanly and says that it is offline" stops_cleanly
step "serves its pages over HTTP where the configuration says so" serves_pages
step "a faulty configuration ends it for good" is_not_tried_again_with_a_faulty_configuration
step "upgrades during a job: it is done once" upgrades
step "makes a picture after the upgrade" makes_a_picture third
step "goes back to the version before, which has the same format" goes_back
step "refuses a store of a newer format for good, and touches nothing" refuses_a_newer_store
step "removed, it leaves configuration and jobs" removes
step "purged, it leaves nothing" purges
step "the tarball brings the same" unpacks
exit $failed
