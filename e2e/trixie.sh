#!/bin/sh
# Builds the Debian 13 tree whose zypper the end-to-end tests run as their second, newer libzypp.
# Call it as root. The tree goes to $KLP_AUDIT_CACHE/trixie (default: /var/cache/klp-audit/trixie),
# outside the sources, and is built once: a second call finds it and does nothing.
set -eu

cache=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}
tree=$cache/trixie
[ -d "$tree" ] && exit 0

mkdir -p "$cache"
exec 9>"$cache/trixie.lock"
flock 9
[ -d "$tree" ] && exit 0 # another call built it while this one waited

# The machine's own mirror: whoever has apt sources has chosen one already.
mirror=${KLP_AUDIT_MIRROR:-}
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' |
	sed -n 's/^Debian|Debian|//p' | head -n 1)
if [ -z "$mirror" ]; then
	echo "trixie.sh: no Debian mirror in apt's sources (run 'apt-get update' or set KLP_AUDIT_MIRROR)" >&2
	exit 1
fi

# A tree that is there is complete: it is built under another name and renamed.
building=$cache/trixie.building
rm -rf "$building"
if ! debootstrap --variant=minbase --include=zypper,rpm trixie "$building" "$mirror" \
	>"$cache/trixie.log" 2>&1; then
	echo "trixie.sh: debootstrap failed, the end of $cache/trixie.log:" >&2
	tail -n 20 "$cache/trixie.log" >&2
	exit 1
fi
rm -rf "$building/var/cache/apt/archives/"*.deb
mv "$building" "$tree"
