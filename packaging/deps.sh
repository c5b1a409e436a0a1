#!/bin/sh
# Installs what this machine lacks for building and testing klp-audit; `deps.sh demo` leaves out
# what only the tests of the report's page, of monitoring, of shells and of the fleet need.
set -eu

missing() { ! command -v "$1" >/dev/null 2>&1; }

need=
# For reading the systemd journal; the library itself is loaded at run time.
[ -e /usr/include/systemd/sd-journal.h ] || need=" sd-journal.h"
[ -e /usr/lib/systemd/systemd-journal-remote ] || need="$need systemd-journal-remote"
for program in gcc zypper rpm rpmbuild createrepo_c modifyrepo_c debootstrap sqlite3 unshare strace mandoc cpio unzip; do
	missing "$program" && need="$need $program"
done
# For the independent program that verifies exports.
python3 -c 'import cryptography' 2>/dev/null || /usr/bin/python3 -c 'import cryptography' 2>/dev/null || need="$need python3-cryptography"
# For the report's page: a browser with fonts, a tool that reads prints, and npm, which fetches the
# accessibility checker.
page=
if [ "${1:-}" != demo ]; then
	"$(dirname "$0")/../e2e/browser/deps.sh"
	missing pdftotext && page="$page poppler-utils"
	missing npm && page="$page npm"
	missing promtool && page="$page prometheus" # its checker of metrics and rules
	# Shells that complete what is typed.
	missing zsh && page="$page zsh"
	missing fish && page="$page fish"
	[ -e /usr/share/bash-completion/bash_completion ] || page="$page bash-completion"
	# PostgreSQL's server: in PATH on SUSE, not on Debian.
	missing initdb && [ -z "$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null)" ] && page="$page postgresql"
fi
[ -z "$need$page" ] && exit 0

if ! missing apt-get; then
	apt-get update -q
	# Tests start servers of their own; Debian's package would make and start another one.
	if [ "${page%postgresql}" != "$page" ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		mkdir -p /etc/postgresql-common
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		gcc libc6-dev libsystemd-dev systemd-journal-remote zypper rpm createrepo-c debootstrap sqlite3 util-linux strace mandoc cpio unzip python3-cryptography $page
elif ! missing zypper; then
	# openSUSE, and SLE with the development tools module. Only openSUSE has debootstrap; without it
	# the tests use only the machine's own zypper.
	zypper --non-interactive install gcc systemd-devel rpm-build createrepo_c sqlite3 util-linux strace cpio unzip
	# What the spec file needs as well; a Go that was not installed as a package does not satisfy
	# it.
	zypper --non-interactive install bash-completion sysuser-tools systemd-rpm-macros go1.26
	zypper --non-interactive install debootstrap systemd-journal-remote mandoc python3-cryptography || true
	[ -z "$page" ] || zypper --non-interactive install poppler-tools npm-default golang-github-prometheus-prometheus zsh fish postgresql-server || true
else
	echo "deps.sh: neither apt-get nor zypper here; install:$need $page" >&2
	exit 1
fi
