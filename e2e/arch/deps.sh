#!/bin/sh
# On Debian, installs what `make test-arch` needs for an architecture: deps.sh ARCH….
set -eu

missing() { ! command -v "$1" >/dev/null 2>&1; }

need=
for arch; do
	case $arch in
	s390x) missing s390x-linux-gnu-gcc && need="$need gcc-s390x-linux-gnu libc6-dev-s390x-cross" ;;
	ppc64le) missing powerpc64le-linux-gnu-gcc && need="$need gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross" ;;
	*) echo "deps.sh: only s390x and ppc64le can be tested, not $arch" >&2; exit 1 ;;
	esac
	[ -e "/usr/lib/binfmt.d/qemu-$arch.conf" ] || need="$need qemu-user-static"
done
for program in debootstrap rpm rpmbuild unshare; do
	missing "$program" && need="$need $program"
done
[ -e /usr/include/systemd/sd-journal.h ] || need="$need libsystemd-dev"
[ -e /usr/lib/systemd/systemd-journal-remote ] || need="$need systemd-journal-remote"
[ -z "$need" ] && exit 0

if missing apt-get; then
	echo "deps.sh: not Debian; install:$need" >&2
	exit 1
fi
# Programs have the names of their packages, except for two.
need=$(echo "$need" | sed 's/rpmbuild/rpm/; s/unshare/util-linux/')
apt-get update -q
# shellcheck disable=SC2086 # several words
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $need
