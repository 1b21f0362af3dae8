# Read by tests/systemd.sh: a requester made of mosquitto's tools, with sessions that the broker keeps, so that nothing
# is missed between two of its commands.

prompt="a red circle on a blue background"
answers=diffused/box/reply/tester

is_online() {
    [ "$(inside mosquitto_sub -h 127.0.0.1 -t diffused/box/availability -C 1 -W 2)" = online ]
}

# listen ID: from now on the broker keeps what is said of a job.
listen() {
    eventually 30 is_online
    : >"$place/$1.statuses"
    inside mosquitto_sub -h 127.0.0.1 -i "statuses-$1" -c -q 1 -t "$answers/$1/status" -E
    inside mosquitto_sub -h 127.0.0.1 -i "picture-$1" -c -q 1 -t "$answers/$1/image/0" -E
}

# ask ID FIELDS
ask() {
    inside mosquitto_pub -h 127.0.0.1 -q 1 -t diffused/box/request/tester -m "{\"id\":\"$1\",\"prompt\":\"$prompt\",$2}"
}

# hear ID picture: the bytes of the first picture.
hear() {
    inside mosquitto_sub -h 127.0.0.1 -i "$2-$1" -c -q 1 -t "$answers/$1/image/0" -C 1 -W 60 -N
}

# gather ID: the statuses that came since, one a line.
gather() {
    inside mosquitto_sub -h 127.0.0.1 -i "statuses-$1" -c -q 1 -t "$answers/$1/status" -W 1 >>"$place/$1.statuses" || true
}

# said ID STATE
said() {
    gather "$1"
    grep -q "\"state\":\"$2\"" "$place/$1.statuses"
}
