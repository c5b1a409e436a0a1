#!/bin/sh
# Installs what `make test-boot` needs besides a compiler.
set -eu

missing() { ! command -v "$1" >/dev/null 2>&1; }

need=
for program in debootstrap qemu-system-x86_64 mke2fs debugfs sqlite3 unshare; do
	missing "$program" && need="$need $program"
done
[ -z "$need" ] && exit 0

if missing apt-get; then
	echo "deps.sh: not Debian; install:$need" >&2
	exit 1
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap qemu-system-x86 e2fsprogs sqlite3 util-linux
