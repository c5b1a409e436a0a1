#!/bin/bash
# Writes to the journal which live patches dracut packs, so that klp-audit can prove later what
# an initrd holds. It puts nothing into the image and never fails or delays a build: without
# a journal, or if the program takes longer than two seconds, nothing is written.

# called by dracut
check() {
    [[ -x /usr/bin/klp-audit ]] || return 1
    return 0
}

# called by dracut
depends() {
    return 0
}

# called by dracut, after all other modules: they run in the order of their names
install() {
    # shellcheck disable=SC2154 # dracut's variables
    # What dracut installs after its modules may be a live patch, too.
    local later="$drivers $add_drivers $force_drivers $filesystems"
    later+=" $install_items $install_optional_items ${include_src[*]}"
    # shellcheck disable=SC2154
    timeout -k 1 2 /usr/bin/klp-audit dracut-log --initdir "$initdir" --kernel "$kernel" \
        --image "$outfile" --drivers "$later" < /dev/null &> /dev/null
    return 0
}
