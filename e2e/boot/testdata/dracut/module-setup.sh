#!/bin/bash
# Stands in for SUSE's dracut module of this name, which is not published: it packs the live patches
# that are installed for the kernel, and a hook loads them in the initrd.

# called by dracut
check() {
    return 0
}

# called by dracut
depends() {
    return 0
}

# called by dracut
install() {
    local f
    # shellcheck disable=SC2154 # dracut's variables
    for f in /usr/lib/modules/"$kernel"/livepatch/*.ko; do
        [[ -e $f ]] && inst_simple "$f"
    done
    inst_multiple insmod uname
    # shellcheck disable=SC2154
    inst_hook pre-udev 99 "$moddir/load-livepatch.sh"
    return 0
}
