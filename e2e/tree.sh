#!/bin/sh
# Builds a Debian tree for the end-to-end tests: tree.sh NAME SUITE PACKAGE,… [OPTION…]; the options
# are debootstrap's. Call it as root. The tree goes to $KLP_AUDIT_CACHE/NAME (default: below
# /var/cache/klp-audit), outside the sources, and is built once: a second call finds it.
set -eu

name=$1 suite=$2 packages=$3
shift 3
cache=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}
tree=$cache/$name
[ -d "$tree" ] && exit 0

mkdir -p "$cache"
exec 9>"$tree.lock"
flock 9
[ -d "$tree" ] && exit 0 # another call built it while this one waited

# The mirror in the machine's own apt sources, if there is one.
mirror=${KLP_AUDIT_MIRROR:-}
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' |
	sed -n 's/^Debian|Debian|//p' | head -n 1)
if [ -z "$mirror" ]; then
	echo "tree.sh: no Debian mirror in apt's sources (run 'apt-get update' or set KLP_AUDIT_MIRROR)" >&2
	exit 1
fi

# An existing tree is complete: it is built under another name and then renamed.
building=$tree.building
rm -rf "$building"
if ! debootstrap --variant=minbase "$@" --include="$packages" "$suite" "$building" "$mirror" >"$tree.log" 2>&1; then
	echo "tree.sh: debootstrap failed, the end of $tree.log:" >&2
	tail -n 20 "$tree.log" >&2
	exit 1
fi
rm -rf "$building/var/cache/apt/archives/"*.deb
mv "$building" "$tree"
