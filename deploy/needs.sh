# Read by the other scripts: installs what is missing with apt-get when run as root, else says what to install.

# Debian puts servers into /usr/sbin, which is not on everybody's path.
PATH="$PATH:/usr/sbin:/sbin"

# install WHAT PACKAGE...: WHAT names in words what is missing.
install() {
    what=$1
    shift
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "$what is missing: install the packages $* and run this again" >&2
        exit 69
    fi
    echo "installing $*" >&2
    apt-get -qq update >&2
    # Packaged servers must not start by themselves: the tests start their own on a free port.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# need COMMAND PACKAGE...
need() {
    command=$1
    shift
    command -v "$command" >/dev/null 2>&1 || install "$command" "$@"
}

need_compiler() {
    if ! command -v cargo >/dev/null 2>&1; then
        echo "cargo is missing: install Rust 1.92 or newer and run this again" >&2
        exit 69
    fi
    # A compiler without the C library's headers is not enough.
    if ! echo '#include <stdio.h>
int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null; then
        install "a C compiler" gcc libc6-dev
    fi
}

need_pip() {
    need python3 python3
    python3 -m pip --version >/dev/null 2>&1 || install "pip" python3-pip
}
