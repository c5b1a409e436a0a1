#!/bin/sh
# Turns a Debian tree into a machine with the first live patch and klp-audit: machine.sh TREE
# DIR makes root.ext4, vmlinuz, initrd and release in DIR. Call it as root, from its own folder.
set -eu

# Every mount ends with this script.
[ "${KLP_AUDIT_BOOT_APART:-}" ] ||
	exec env KLP_AUDIT_BOOT_APART=1 unshare -m -p -f --mount-proc --propagation private -- "$0" "$@"

tree=$1 dir=$2
root=$dir/root
cp -a "$tree" "$root"
for name in /proc /dev /sys; do mount --rbind "$name" "$root$name"; done
in_root() { chroot "$root" env -i HOME=/root LC_ALL=C PATH=/usr/sbin:/usr/bin "$@"; }
kernel=$(basename "$root"/lib/modules/*)

# The live patches, as packages. Debian's rpm keeps root's database in the home folder.
mkdir -p "$root/lab" "$root/etc/rpm"
echo '%_dbpath /var/lib/rpm' >"$root/etc/rpm/macros.lab"
cp testdata/livepatch/* "$root/lab/"
for number in 1 2; do
	in_root make -C /lab KERNEL="$kernel" VERSION=$number-2_36
	in_root rpmbuild -bb --define "kernel $kernel" --define "number $number" \
		--define "module /lab/livepatch-$number-2_36.ko" --define '_rpmdir /lab' \
		--define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' /lab/kernel-livepatch.spec
done
in_root rpm -i --nodeps --noscripts "/lab/kernel-livepatch-$(echo "$kernel" | tr . _)-1-2.36.x86_64.rpm"

# klp-audit as built, installed like its package.
make -s -C ../.. install BUILD= DESTDIR="$root"
in_root klp-audit version # fails here if this machine's libraries are newer than the tree's
in_root systemd-sysusers
in_root systemctl enable klp-audit-observe.service

# The machine keeps its journal and does what its kernel command line says.
mkdir -p "$root/var/log/journal"
echo lab >"$root/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
cp testdata/guest/acts.sh "$root/lab/"
cp testdata/guest/acts.service "$root/etc/systemd/system/"
cp testdata/guest/dracut.conf "$root/etc/dracut.conf.d/lab.conf"
cp -r testdata/dracut "$root/usr/lib/dracut/modules.d/99kernel-livepatch"
in_root systemctl enable acts.service

# The image that a boot loader would load; here it is passed to qemu.
in_root dracut --force --kver "$kernel" "/boot/initrd-$kernel"
cp "$root/boot/vmlinuz-$kernel" "$dir/vmlinuz"
cp "$root/boot/initrd-$kernel" "$dir/initrd"
echo "$kernel" >"$dir/release"

for name in /proc /dev /sys; do umount -R -l "$root$name"; done
rm -rf "$root/usr/src" "$root/usr/lib/gcc" "$root/usr/lib/modules/$kernel/kernel/drivers/gpu" # a smaller disk
mke2fs -q -t ext4 -d "$root" "$dir/root.ext4" 3G
rm -rf --one-file-system "$root"
