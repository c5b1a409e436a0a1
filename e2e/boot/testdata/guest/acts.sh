#!/bin/sh
# Does in the machine what the kernel command line names: lab.acts=ACT,…, in order. Then it powers
# off. The answers of klp-audit go to /lab/found.

# look:NAME asks klp-audit everything.
look() {
	found=/lab/found/$1
	mkdir "$found"
	while grep -qs 1 /sys/kernel/livepatch/*/transition; do sleep 1; done
	cat /proc/version >"$found/version"
	journalctl --sync
	ask boots.json boots --format json
	ask initrd.json initrd --explain --format json
	ask initrd.txt initrd --explain
	ask journal.json initrd --journal /var/log/journal --format json
	ask status.json status --format json
	ask status.txt status
}

# ask writes klp-audit's answer to a file.
ask() {
	file=$1
	shift
	klp-audit "$@" >"$found/$file" 2>"$found/$file.err" || echo "klp-audit $*: exit $?" >>"$found/$file.err"
}

# update installs the second live patch, which its package loads at once.
update() { rpm -U --nodeps /lab/kernel-livepatch-*-2-*.rpm; }

# load loads it again, in a boot that fell back to the first.
load() { insmod /usr/lib/modules/"$(uname -r)"/livepatch/livepatch-2-2_36.ko; }

# rebuild rebuilds the initrd; as under zypper, dracut's output does not go to the journal.
rebuild() { dracut --force --kver "$(uname -r)" "/boot/initrd-$(uname -r)" >/lab/found/dracut.log 2>&1; }

mkdir -p /lab/found
for act in $(sed -n 's/.*lab\.acts=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
	echo "lab: $act"
	case $act in
	look:*) look "${act#look:}" ;;
	update | load | rebuild) "$act" || echo "lab: $act failed" ;;
	esac
done
sync
systemctl poweroff
