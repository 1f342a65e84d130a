#!/bin/bash
# The first process of a node, in namespaces of its own: node.sh NAME
set -euo pipefail
. "$HERE/common.sh"
. "$HERE/$KIND/daemons.sh"

hostname "$1"
cat /proc/sys/kernel/random/uuid >"$BASE/private/$1.boot_id"
mount --bind "$BASE/private/$1.boot_id" /proc/sys/kernel/random/boot_id
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs "$BASE/private/tmp" # where the scheduler makes directories of jobs; /tmp is everybody's
start_daemon "$1"
wait # for the daemon; and, as a first process must, for all that lose their parents
