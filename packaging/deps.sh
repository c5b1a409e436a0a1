#!/bin/sh
# Installs what building and testing klp-audit needs and this machine lacks; `deps.sh demo` leaves
# out what only the tests of the report's page and of monitoring need.
set -eu

missing() { ! command -v "$1" >/dev/null 2>&1; }

need=
# For the reader of the systemd journal; the library itself is loaded at run time.
[ -e /usr/include/systemd/sd-journal.h ] || need=" sd-journal.h"
[ -e /usr/lib/systemd/systemd-journal-remote ] || need="$need systemd-journal-remote"
for program in gcc zypper rpm rpmbuild createrepo_c modifyrepo_c debootstrap sqlite3 unshare strace mandoc cpio; do
	missing "$program" && need="$need $program"
done
# For the other program that verifies exports.
python3 -c 'import cryptography' 2>/dev/null || /usr/bin/python3 -c 'import cryptography' 2>/dev/null || need="$need python3-cryptography"
# For the report's page: a browser, what prints are read with, and what fetches the checker
# of accessibility.
page=
if [ "${1:-}" != demo ]; then
	missing chromium && page="chromium"
	missing pdftotext && page="$page poppler-utils"
	missing npm && page="$page npm"
	missing promtool && page="$page prometheus" # its checker of metrics and rules
fi
[ -z "$need$page" ] && exit 0

if ! missing apt-get; then
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		gcc libc6-dev libsystemd-dev systemd-journal-remote zypper rpm createrepo-c debootstrap sqlite3 util-linux strace mandoc cpio python3-cryptography $page
elif ! missing zypper; then
	# openSUSE and SLE with the development tools module. debootstrap is in openSUSE
	# only; without it the tests use the machine's own zypper alone.
	zypper --non-interactive install gcc systemd-devel rpm-build createrepo_c sqlite3 util-linux strace cpio
	# What the spec file asks for besides; a Go without a package does not count there.
	zypper --non-interactive install bash-completion sysuser-tools systemd-rpm-macros go1.26
	zypper --non-interactive install debootstrap systemd-journal-remote mandoc python3-cryptography || true
	[ -z "$page" ] || zypper --non-interactive install chromium poppler-tools npm-default golang-github-prometheus-prometheus || true
else
	echo "deps.sh: neither apt-get nor zypper here; install:$need $page" >&2
	exit 1
fi
