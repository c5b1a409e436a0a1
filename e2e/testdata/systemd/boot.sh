#!/bin/sh
# Boots the system below a mounted root: boot.sh ROOT. As in a container, systemd becomes process 1
# of its own namespaces and its own cgroup, so that it cannot change the kernel.
set -eu
root=$1

if [ "${2:-}" != inside ]; then
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	cgroup=$root/sys/fs/cgroup/klp-audit-e2e-$$
	mkdir "$cgroup"
	status=0
	# Moved before the namespace is made, so that it becomes the top of it.
	sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$cgroup" \
		unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private -- "$0" "$root" inside || status=$?
	find "$cgroup" -depth -type d -exec rmdir {} +
	exit $status
fi

cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
for dir in proc/sys sys; do mount -o remount,bind,ro "$dir"; done
umount sys/fs/cgroup # for there it is the whole of the machine's
mount -t cgroup2 cgroup2 sys/fs/cgroup
for dir in dev run tmp; do mount -t tmpfs -o mode=0755 tmpfs "$dir"; done
chmod 1777 tmp
for name in null zero full random urandom tty; do cp -a "/dev/$name" dev/; done
mkdir -p dev/pts dev/shm old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c 'umount -l /old
exec setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-syslog,-sys_boot \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no' </dev/null
