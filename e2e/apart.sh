#!/bin/sh
# Runs a program with its own mounts and host name: apart.sh PROGRAM…. Everything it mounts
# disappears with it. Its /dev has the devices that programs need, each as a mount of its own: a
# mounted device cannot be removed or replaced by what a test does as root in a lab.
set -eu

case $1 in
--inside) shift ;;
*) exec unshare -m -u --propagation private -- "$0" --inside "$@" ;;
esac
dev=$(mktemp -d /tmp/klp-audit-dev-XXXXXX)
mount -t tmpfs -o mode=0755 tmpfs "$dev"
for name in full kmsg null random tty urandom zero; do
	[ -e "/dev/$name" ] || continue # in a container
	: >"$dev/$name"
	mount --bind "/dev/$name" "$dev/$name"
done
mkdir "$dev/pts" "$dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$dev/pts"
ln -s pts/ptmx "$dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$dev/shm"
ln -s /proc/self/fd "$dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do
	ln -s "/proc/self/fd/${n%:*}" "$dev/${n#*:}"
done
mount --move "$dev" /dev
rmdir "$dev" || :
exec "$@"
