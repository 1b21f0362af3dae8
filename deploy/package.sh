#!/bin/sh
# Makes a Debian package and a tarball of the same files.
#
#   deploy/package.sh [amd64|arm64] [BINARY]
#
# Writes target/package/diffused_<version>-<revision>_<machine>.deb and .tar.gz and prints their paths. BINARY is built by
# deploy/cross-build.sh unless given. REVISION (default 1) is the package's own number, MAINTAINER a name and an address.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/deploy/needs.sh"
. "$root/deploy/cross/apt.sh"
. "$root/deploy/cross/tools.sh"
arch=${1:-$(dpkg --print-architecture)}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)-${REVISION:-1}
maintainer=${MAINTAINER:-diffused maintainers <diffused@packages.invalid>}
cross="$root/target/cross"
out="$root/target/package"
tree="$out/tree-$arch"
name="diffused_${version}_$arch"
doc="$tree/usr/share/doc/diffused"
# Files get the time of the commit, so that the same commit makes the same package.
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH

case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *)
        echo "package.sh: the machine must be amd64 or arm64, got $arch" >&2
        exit 64
        ;;
esac

# put MODE FROM TO: TO is relative to the root of the installed system.
put() {
    command install -D -m "$1" "$2" "$tree/$3"
}

# write TO: standard input, compressed.
write() {
    mkdir -p "$(dirname "$tree/$1")"
    gzip -9n >"$tree/$1"
}

programs() {
    put 755 "$binary" usr/bin/diffused
    "$root/deploy/onnxruntime.sh" "$cross/onnxruntime-$machine" "$machine"
    for library in "$cross/onnxruntime-$machine"/libonnxruntime.so.*; do
        put 644 "$library" "usr/lib/diffused/onnxruntime/$(basename "$library")"
        ln -s "$(basename "$library")" "$tree/usr/lib/diffused/onnxruntime/libonnxruntime.so"
    done
}

# Units are where systemd of every release looks for them.
service() {
    put 644 "$root/systemd/diffused.service" lib/systemd/system/diffused.service
    put 644 "$root/systemd/diffused-powermode.service" lib/systemd/system/diffused-powermode.service
    put 644 "$root/systemd/diffused.udev.rules" lib/udev/rules.d/70-diffused.rules
    put 644 "$root/systemd/diffused.sysusers.conf" usr/lib/sysusers.d/diffused.conf
    put 644 "$root/systemd/diffused.tmpfiles.conf" usr/lib/tmpfiles.d/diffused.conf
}

# The configuration that shows every setting, with two that the package makes true.
configuration() {
    mkdir -p "$tree/etc/diffused"
    sed -e 's|^# default = "sd15" .*|default = "shapes"            # comes with the package; name yours once it is there|' \
        -e 's|^# cache = "/var/cache/diffused" .*|cache = "/var/cache/diffused"   # optimised graphs and compiled engines|' \
        "$root/deploy/diffused.toml" >"$tree/etc/diffused/diffused.toml"
    [ "$(grep -c '^default = "shapes"\|^cache = "/var/cache/diffused"' "$tree/etc/diffused/diffused.toml")" = 2 ]
}

models() {
    mkdir -p "$tree/usr/share/diffused/models"
    cp -r "$root/models/shapes" "$tree/usr/share/diffused/models/"
}

# The binary writes its own pages; one for another machine does so under qemu.
manual() {
    rm -rf "$out/manual"
    if [ "$machine" = "$(uname -m)" ]; then
        "$binary" manual "$out/manual"
    else
        need_qemu
        "$cross/qemu/usr/bin/qemu-$machine" -L "$cross/glibc-2.31" "$binary" manual "$out/manual"
    fi
    for page in "$out"/manual/*.1; do
        write "usr/share/man/man1/$(basename "$page").gz" <"$page"
    done
    put 644 "$out/manual/diffused.bash" usr/share/bash-completion/completions/diffused
    put 644 "$out/manual/_diffused" usr/share/zsh/vendor-completions/_diffused
    put 644 "$out/manual/diffused.fish" usr/share/fish/vendor_completions.d/diffused.fish
}

papers() {
    mkdir -p "$doc"
    sed 's/^$/./; s/^/ /' "$root/LICENSE-MIT" >"$out/expat"
    sed -e "/^@EXPAT@$/{
        r $out/expat
        d
    }" "$root/deploy/package/copyright" >"$doc/copyright"
    write usr/share/doc/diffused/changelog.gz <"$root/CHANGELOG.md"
    printf 'diffused (%s) unstable; urgency=medium\n\n  * What has changed stands in changelog.gz.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date -Ru -d "@$SOURCE_DATE_EPOCH")" | write usr/share/doc/diffused/changelog.Debian.gz
    write usr/share/doc/diffused/ThirdPartyNotices.txt.gz <"$cross/onnxruntime-$machine/ThirdPartyNotices.txt"
    cargo tree --manifest-path "$root/Cargo.toml" --locked --no-default-features --edges normal --prefix none \
        --target "$machine-unknown-linux-gnu" --format '{p} {l}' | sed 's/ (.*)//' | LC_ALL=C sort -u |
        write usr/share/doc/diffused/crates.gz
    for example in prometheus/diffused.rules.yml grafana/diffused.json; do
        put 644 "$root/deploy/$example" "usr/share/doc/diffused/examples/$(basename "$example")"
    done
    put 644 "$root/deploy/package/lintian" usr/share/lintian/overrides/diffused
}

control() {
    mkdir -p "$tree/DEBIAN"
    sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|" \
        -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$tree" | cut -f 1)/" "$root/deploy/package/control" >"$tree/DEBIAN/control"
    echo /etc/diffused/diffused.toml >"$tree/DEBIAN/conffiles"
    for script in postinst prerm postrm; do
        command install -m 755 "$root/deploy/package/$script" "$tree/DEBIAN/$script"
    done
    (cd "$tree" && find etc lib usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
}

# The same files for other systems. No folders: /lib may be a link to /usr/lib, which tar would put a folder in place of.
tarball() (
    cd "$tree"
    find . -path ./DEBIAN -prune -o ! -type d -print0 | LC_ALL=C sort -z |
        tar --null --files-from - --transform 's|^\./lib/|./usr/lib/|' --owner 0 --group 0 --numeric-owner \
            --mtime "@$SOURCE_DATE_EPOCH" -c | gzip -n
)

binary=${2:-$("$root/deploy/cross-build.sh" "$arch")}
rm -rf "$tree"
mkdir -p "$tree"
umask 022
programs
service
configuration
models
manual
papers
control
chmod -R u=rwX,go=rX "$tree"
dpkg-deb --root-owner-group -Zxz -b "$tree" "$out/$name.deb" >&2
tarball >"$out/$name.tar.gz"
printf '%s\n' "$out/$name.deb" "$out/$name.tar.gz"
