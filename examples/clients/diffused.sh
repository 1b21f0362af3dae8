#!/bin/sh
# One picture from a diffused node, with nothing but mosquitto's clients and the shell.
#
#   diffused.sh HOST NODE PROMPT FILE [OUTPUT]
#
# OUTPUT is the request's `output` as JSON, such as '{"format":"jpeg"}' or '{"format":"mono","part_bytes":4000}'.
# More flags of mosquitto, such as -p 8883 --cafile ca.crt -u me -P secret, come from the variable MQTT_FLAGS.
# Pictures of a request with a count above 1 go to FILE, FILE.1, FILE.2 and so on. Needs GNU coreutils.
# Exit status: 0 done, 65 refused or failed, 75 no answer in time, 76 the picture did not come in one piece.
set -eu
host=$1 node=$2 prompt=$3 file=$4 output=${5:-'{"format":"png"}'}
base=${MQTT_BASE:-diffused}/$node client=${MQTT_CLIENT:-shell}
patience=${PATIENCE:-600} # seconds that all of it may take

# A random id makes a repeated request harmless: the node knows it again and never works twice.
id=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
reply=$base/reply/$client/$id
text=$(printf '%s' "$prompt" | tr '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g')
request="{\"id\":\"$id\",\"prompt\":\"$text\",\"output\":$output}"

folder=$(mktemp -d)
listeners=
trap 'kill $listeners 2>/dev/null || true; rm -rf "$folder"' EXIT
trap 'exit 70' INT TERM

# listen FILE FORMAT TOPIC...: writes what comes into FILE, one line a message.
# The first call only subscribes, in a session that the broker keeps; so nothing is missed before the second listens.
listen() {
    into=$folder/$1 format=$2 name=$client-$id-$1
    shift 2
    for topic; do set -- "$@" -t "$topic"; shift; done
    # shellcheck disable=SC2086
    set -- -h "$host" -V mqttv5 ${MQTT_FLAGS:-} -i "$name" -c -x 300 -q 1 "$@"
    mosquitto_sub "$@" -E
    : >"$into"
    mosquitto_sub "$@" -F "$format" >>"$into" &
    listeners="$listeners $!"
}

# say TOPIC JSON
say() {
    # shellcheck disable=SC2086
    mosquitto_pub -h "$host" -V mqttv5 ${MQTT_FLAGS:-} -q 1 -t "$1" -m "$2"
}

# number KEY: the value of "KEY":123 in the JSON on standard input
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
word() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

listen news '%p' "$reply/status"
listen pieces '%t %X' "$reply/image/+" "$reply/part/+" "$reply/manifest/+"

start=$(date +%s)
next=$start # when the request is published (again)
while ! grep -q '"state":"done"' "$folder/news"; do
    now=$(date +%s)
    [ $((now - start)) -lt "$patience" ] || { echo "no answer in $patience s" >&2; exit 75; }
    if bad=$(grep -E '"state":"(failed|cancelled|expired|rejected)"' "$folder/news"); then
        if ! echo "$bad" | grep -q '"state":"rejected".*"retryable":true'; then
            echo "$bad" | word message >&2
            exit 65
        fi
        # No room now, perhaps later: the node says when.
        wait=$(echo "$bad" | tail -n 1 | number retry_after_ms)
        : >"$folder/news"
        next=$((now + ${wait:-10000} / 1000))
    fi
    if [ "$now" -ge "$next" ] && ! grep -q '"state":"accepted"' "$folder/news"; then
        say "$base/request/$client" "$request"
        next=$((now + 10))
    fi
    sleep 0.2
done

# lines: the messages that are written to their end
lines() { head -n "$(wc -l <"$folder/pieces")" "$folder/pieces"; }
# have TOPIC: whether that message is there
have() { lines | grep "^$reply/$1 " >/dev/null; }
# bytes TOPIC: its payload
bytes() { lines | grep "^$reply/$1 " | tail -n 1 | cut -d ' ' -f 2 | basenc --base16 -d; }
# missing K PARTS PART_BYTES BYTES: what of picture K is not there yet; `all` if the node cuts it in another way by now
missing() {
    lines | awk -v reply="$reply/" -v k="$1" -v parts="$2" -v part="$3" -v bytes="$4" '
        { size[substr($1, length(reply) + 1)] = length($2) / 2 }
        END {
            if (parts == 0 && size["image/" k] != bytes) print "all"
            for (i = 0; i < parts; i++) {
                have = size["part/" k "." i] + 0
                if (have != (i < parts - 1 ? part : bytes - i * part)) print have ? "all" : i
            }
        }'
}

# One line for each picture: {"k":0,...,"sha256":"...","part_bytes":0,"parts":0}
grep '"state":"done"' "$folder/news" | tail -n 1 | sed 's/.*"images":\[//; s/{"k"/\n&/g' | grep '^{"k"' >"$folder/images"
while read -r image; do
    k=$(echo "$image" | number k) sha256=$(echo "$image" | word sha256)
    ask=$(($(date +%s) + 3)) # what is missing after 3 s is asked for, then every 5 s
    while
        # The last manifest knows best how the picture is cut.
        cut=$image
        if have "manifest/$k"; then cut=$(bytes "manifest/$k"); fi
        parts=$(echo "$cut" | number parts)
        gaps=$(missing "$k" "$parts" "$(echo "$cut" | number part_bytes)" "$(echo "$image" | number bytes)")
        [ -n "$gaps" ]
    do
        now=$(date +%s)
        [ $((now - start)) -lt "$patience" ] || { echo "picture $k is not complete" >&2; exit 76; }
        if [ "$now" -ge "$ask" ]; then
            list=$(echo "$gaps" | head -n 64 | tr '\n' ',')
            case $gaps in *all*) list= ;; *) list=",\"parts\":[${list%,}]" ;; esac
            say "$base/command/$client" "{\"command\":\"get\",\"job\":\"$id\",\"k\":$k$list}"
            ask=$((now + 5))
        fi
        sleep 0.2
    done
    to=$file
    [ "$k" = 0 ] || to=$file.$k
    if [ "$parts" = 0 ]; then
        bytes "image/$k"
    else
        i=0
        while [ $i -lt "$parts" ]; do bytes "part/$k\\.$i"; i=$((i + 1)); done
    fi >"$folder/picture"
    if [ "$(sha256sum <"$folder/picture" | cut -d ' ' -f 1)" != "$sha256" ]; then
        echo "picture $k came damaged" >&2
        exit 76
    fi
    mv "$folder/picture" "$to"
    echo "$to: $(echo "$image" | word format), $(echo "$image" | number bytes) bytes, seed $(echo "$image" | number seed)"
done <"$folder/images"
