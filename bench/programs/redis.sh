#!/bin/sh
# Work for redis-server: keys made by a script of its own, whose digest is printed, then redis-benchmark over a socket.
#
# usage: redis.sh COUNT (in a folder of its own)
set -eu
count=$1
socket=$PWD/redis.socket

redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --daemonize no --enable-debug-command yes \
    --dir "$PWD" --loglevel warning >server.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT

tries=0
until redis-cli -s "$socket" ping >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 500 ] && kill -0 $server
    sleep 0.02
done
redis-cli -s "$socket" eval "
    for i = 1, tonumber(ARGV[1]) do
        local key = 'key:' .. (i * 7919 % 100003)
        redis.call('set', key, string.rep('v', i % 300))
        redis.call('hset', 'hash:' .. (i % 500), 'field:' .. i, i * 31)
        redis.call('zadd', 'order:' .. (i % 100), i * 17 % 1009, key)
        redis.call('rpush', 'list:' .. (i % 200), key)
    end
    return redis.call('dbsize')" 0 "$count"
redis-cli -s "$socket" debug digest
redis-benchmark -s "$socket" -q -n "$count" -r 100000 -c 20 -P 8 -d 100 -t set,get,lpush,hset,zadd >benchmark.log 2>&1
redis-cli -s "$socket" shutdown nosave
wait $server
echo ended
