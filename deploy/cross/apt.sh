# Read by the other scripts: Debian packages of other suites and machines, only unpacked, so that the machine's own
# packages stay as they are. Everything lies below $cross, the script's folder in target/.

# The places from which the machine itself gets packages.
mirror() {
    [ -z "${DEBIAN_MIRROR:-}" ] || { echo "$DEBIAN_MIRROR"; return; }
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 2>/dev/null |
        sed -n 's/^[a-z]* \(.*\/debian\)\/$/\1/p' | head -n 1
}

# private_apt COMMAND...: apt-get or apt-cache with a state and sources of its own.
private_apt() {
    command=$1
    shift
    "$command" -qq -o Dir::Etc::sourcelist="$cross/apt/sources.list" -o Dir::Etc::sourceparts="$cross/apt/none" \
        -o Dir::Etc::preferencesparts="$cross/apt/none" -o Dir::State="$cross/apt/state" \
        -o Dir::State::status="$cross/apt/status" -o Dir::Cache="$cross/apt/cache" -o Acquire::Languages=none \
        -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
        -o APT::Sandbox::User=root "$@"
}

# The lists of bookworm's security updates (the compiler), sid (qemu) and bullseye (glibc 2.31).
prepare_apt() {
    [ ! -e "$cross/apt/ready" ] || return 0
    from=$(mirror)
    if [ -z "$from" ]; then
        echo "a Debian mirror is missing: set DEBIAN_MIRROR to one, such as this machine's own" >&2
        exit 69
    fi
    mkdir -p "$cross/apt/none" "$cross/apt/state/lists/partial" "$cross/apt/cache/archives/partial" "$cross/debs"
    : >"$cross/apt/status"
    keys="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    cat >"$cross/apt/sources.list" <<END
deb $keys $from-security bookworm-security main
deb $keys $from sid main
deb $keys $from bullseye main
END
    private_apt apt-get update
    : >"$cross/apt/ready"
}

# depends PACKAGE PATTERN: the one package of that pattern on which it depends.
depends() {
    private_apt apt-cache depends "$1" | sed -n "s/^ *Depends: \($2\)\$/\1/p" | head -n 1
}

# unpack FOLDER PACKAGE...: as `apt-get download` names packages; into FOLDER, once.
unpack() {
    folder=$1
    shift
    [ ! -e "$folder/.complete" ] || return 0
    prepare_apt
    rm -rf "$folder" "$cross/debs/now"
    mkdir -p "$folder" "$cross/debs/now"
    (cd "$cross/debs/now" && private_apt apt-get download "$@")
    for package in "$cross"/debs/now/*.deb; do
        dpkg-deb -x "$package" "$folder"
    done
    rm -rf "$cross/debs/now"
    : >"$folder/.complete"
}
