#!/bin/sh
# On Debian, installs what this machine lacks for building packages for an architecture, or for
# checking them: rpm-deps.sh ARCH|lint. Elsewhere rpmbuild itself names what is missing.
set -eu

[ -e /etc/debian_version ] || exit 0
arch=$1

missing() { ! command -v "$1" >/dev/null 2>&1; }

need=
[ -e /usr/include/systemd/sd-journal.h ] || need=libsystemd-dev
missing rpmbuild && need="$need rpm"
missing gcc && need="$need gcc libc6-dev"
missing eu-strip && need="$need elfutils"
missing find-debuginfo && need="$need debugedit"
missing file && need="$need file"
missing xz && need="$need xz-utils"
case $arch in
"$(uname -m)") ;;
lint) missing rpmlint && need="$need rpmlint" ;;
s390x) missing s390x-linux-gnu-gcc && need="$need gcc-s390x-linux-gnu libc6-dev-s390x-cross" ;;
ppc64le) missing powerpc64le-linux-gnu-gcc && need="$need gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross" ;;
*) echo "rpm-deps.sh: klp-audit is built for x86_64, ppc64le and s390x, not for $arch" >&2; exit 1 ;;
esac
[ -z "$need" ] && exit 0

apt-get update -q
# shellcheck disable=SC2086 # several words
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $need
