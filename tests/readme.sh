#!/bin/sh
# Every command of the README, in its order, on a fresh Debian with a real systemd, as somebody would type them who has
# just cloned this. Says which block of the README it is at.
#
#   tests/readme.sh
#
# Needs root on Debian, cargo, and the registries in reach; everything lies in target/appliance. Takes a quarter of an hour
# and 5 GB. The box has the network of this machine, so that no other broker may listen on port 1883 here.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# What the README asks for; cargo is this machine's own.
kind=-readme more=git,python3,python3-pip,sudo,apt-utils
. "$root/tests/appliance/box.sh"

# blocks: the README's blocks of commands as one program for bash, without those that a comment excepts.
blocks() {
    echo 'set -eo pipefail'
    awk '/^```sh$/ && !excepted { printf "echo; echo \"--- README.md, line %d\"; set -x\n", NR + 1; of = 1; next }
        /^```/ && of { print "{ set +x; } 2>/dev/null"; of = 0 }
        of { print }
        { excepted = /^<!-- not by tests\/readme.sh/ }' "$root/README.md"
}

# sized FILE BYTES: whether the commands have left it, of at least that size.
sized() {
    [ "$(stat -c %s "$box/root/diffused/$1" 2>/dev/null || echo 0)" -ge "$2" ] || { echo "FAIL  no whole $1"; exit 1; }
}

mkdir -p "$place"
need systemd-nspawn systemd-container
need_base
trap 'power_off' EXIT
boot --bind-ro="$(rustc --print sysroot)":/opt/rust --bind-ro=/etc/ssl/certs --resolv-conf=bind-host
# debootstrap leaves this to whoever installs a Debian.
echo '127.0.0.1 localhost box' >"$box/etc/hosts"
git clone --quiet "$root" "$box/root/diffused"
blocks >"$box/root/readme"
patience=3600
inside env PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd ~/diffused && exec bash ~/readme' ||
    { echo "FAIL  the last command above"; exit 1; }
sized demo.png 1000
sized picture.jpg 1000
sized circle.png 1000
[ "$(stat -c %s "$box/root/diffused/panel.raw")" = 5000 ] || { echo "FAIL  panel.raw has not its 5000 bytes"; exit 1; }
cp "$box/root/diffused/demo.png" "$box/root/diffused/picture.jpg" "$box/root/diffused/circle.png" "$place"
echo "ok    every command of the README; its pictures are in $place"
