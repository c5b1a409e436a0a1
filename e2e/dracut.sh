#!/bin/sh
# Builds a Debian tree with dracut, for the tests of initrd images: dracut.sh bullseye|bookworm|trixie.
# Call it as root. The tree goes to $KLP_AUDIT_CACHE/dracut-SUITE (default: below
# /var/cache/klp-audit), outside the sources, and is built once: a second call finds it.
set -eu

suite=$1
cache=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}
tree=$cache/dracut-$suite
[ -d "$tree" ] && exit 0

mkdir -p "$cache"
exec 9>"$tree.lock"
flock 9
[ -d "$tree" ] && exit 0 # another call built it while this one waited

# The machine's own mirror: whoever has apt sources has chosen one already.
mirror=${KLP_AUDIT_MIRROR:-}
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' |
	sed -n 's/^Debian|Debian|//p' | head -n 1)
if [ -z "$mirror" ]; then
	echo "dracut.sh: no Debian mirror in apt's sources (run 'apt-get update' or set KLP_AUDIT_MIRROR)" >&2
	exit 1
fi

# A tree that is there is complete: it is built under another name and renamed. The kernel
# modules are the tests' own, so no kernel is needed.
building=$tree.building
rm -rf "$building"
merged=
[ "$suite" != bullseye ] || merged=--no-merged-usr # as SUSE Linux Enterprise 15 is
if ! debootstrap --variant=minbase $merged \
	--include=binutils,bzip2,cpio,dracut-core,initramfs-tools-core,kmod,lz4,pigz,systemd,udev,xz-utils,zstd \
	"$suite" "$building" "$mirror" >"$tree.log" 2>&1; then
	echo "dracut.sh: debootstrap failed, the end of $tree.log:" >&2
	tail -n 20 "$tree.log" >&2
	exit 1
fi
rm -rf "$building/var/cache/apt/archives/"*.deb
mv "$building" "$tree"
