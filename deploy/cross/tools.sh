# Read by the other scripts: what cross-build.sh needs, brought into target/cross the first time.

zig_version=0.17.1
zigbuild_version=0.24.0

# zig as compiler for C and as linker: it knows the symbols of every glibc.
need_zig() {
    zig="$cross/zig-$zig_version-$zigbuild_version"
    if [ ! -e "$zig/.complete" ]; then
        need_pip
        python3 -m pip install --quiet --disable-pip-version-check --target "$zig" \
            "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
        : >"$zig/.complete"
    fi
    PATH="$zig/bin:$PATH"
    export PATH CARGO_ZIGBUILD_ZIG_PATH="$zig/ziglang/zig"
}

# Debian's compiler, because its standard library for the other machine comes as a package. They must be of one make:
# rustup's compiler does not take Debian's library.
need_foreign_compiler() {
    prepare_apt
    std=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
    unpack "$cross/rust" "$std/bookworm-security" "$(depends "$std" 'libllvm[0-9.]*')/bookworm-security" \
        rustc-web/bookworm-security libstd-rust-web-dev:amd64/bookworm-security libstd-rust-web-dev:arm64/bookworm-security
    cat >"$cross/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$cross/rust/usr/lib/x86_64-linux-gnu exec $cross/rust/usr/bin/rustc "\$@"
END
    chmod +x "$cross/rustc"
    "$cross/rustc" --version >&2
    export RUSTC="$cross/rustc"
}

# An emulator (those before qemu 11 tell ONNX Runtime of this machine's processor, and it crashes), and the C library
# of the oldest boards.
need_qemu() {
    unpack "$cross/qemu" qemu-user/sid
    unpack "$cross/glibc-2.31" libc6:arm64/bullseye libstdc++6:arm64/bullseye libgcc-s1:arm64/bullseye
}
