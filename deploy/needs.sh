# Read by the other scripts: installs what is missing with apt-get when run as root, else says what to install.

# need COMMAND PACKAGE
need() {
    # Debian puts servers into /usr/sbin, which is not on everybody's path.
    PATH="$PATH:/usr/sbin:/sbin"
    if command -v "$1" >/dev/null 2>&1; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing $2" >&2
        apt-get -qq update >&2
        # Packaged servers must not start by themselves: the tests start their own on a free port.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2" >/dev/null
    else
        echo "$1 is missing: install the package $2 and run this again" >&2
        exit 69
    fi
}

need_compiler() {
    need cargo cargo
    need cc gcc
}

need_pip() {
    need python3 python3
    if ! python3 -m pip --version >/dev/null 2>&1; then
        need pip3 python3-pip
    fi
}
