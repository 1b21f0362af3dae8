#!/bin/sh
# Proof by destruction, the full form: hours where `cargo test` takes seconds. Prints the figures of docs/reliability.md.
#
#   tests/reliability.sh [storm] [wiped] [flood] [leak] [power] [crash] [disk] [links] [clients] [soak]
#
# All of them if none is named. The figures of `power`, `crash` and `disk` stand in docs/reliability-store.md, those of
# `links` in docs/reliability-links.md; `disk` needs root.
#
#   CHAOS_SEED        repeats a run                        CHAOS_REQUESTS, CHAOS_PASS_MS      a shorter storm
#   CHAOS_STORY       prints what happened to this job     CHAOS_SOAK_JOBS, CHAOS_FLOOD_SECONDS
set -eu

cd "$(dirname "$0")/.."
. deploy/needs.sh
need_compiler
need mosquitto mosquitto

cargo build --quiet --release --locked --examples
drill="${CARGO_TARGET_DIR:-target}/release/examples/store-drill"
cargo test --quiet --release --locked --test it --no-run

ignored() {
    echo "== $1"
    shift
    cargo test --quiet --release --locked --test it -- --ignored --nocapture --test-threads 1 "$@"
}

prove() {
    ignored "$1" --exact "chaos::full::$2"
}

[ $# -gt 0 ] || set -- storm wiped flood leak power crash disk links clients soak
for proof; do
    case $proof in
    storm) prove "kills at random" ten_thousand_requests_survive_random_kills_of_service_and_broker ;;
    wiped) prove "a broker that forgets" ten_thousand_requests_survive_a_broker_that_forgets_everything_with_every_kill ;;
    flood) prove "overload" an_overload_that_lasts_leaves_memory_flat ;;
    leak) prove "a planted leak" a_leak_of_a_kibibyte_a_job_is_seen ;;
    power)
        echo "== power cuts"
        "$drill" power "${POWER_JOBS:-500}" 1 nothing 5
        # Planted faults, which have to be noticed.
        for planted in no-sync no-sync-of-log no-sync-of-folders; do "$drill" power 60 1 $planted; done
        echo "== power cuts during an upgrade"
        "$drill" upgrade 1 nothing 1
        for planted in no-sync no-sync-of-log no-sync-of-folders no-sync-of-copy; do "$drill" upgrade 1 $planted; done
        ;;
    crash)
        echo "== crashes inside of transitions"
        "$drill" crash 60 2
        ;;
    disk) ignored "a disk that is really full" faults::sick::a_disk_that_is_really_full ;;
    links) ignored "slow and torn links, brokers that take little" links::full ;;
    clients) tests/clients.sh ;;
    soak) prove "soak" four_hundred_thousand_jobs_leave_memory_flat ;;
    *) echo "there is no proof called $proof" >&2 && exit 64 ;;
    esac
done
