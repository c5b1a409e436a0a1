#!/bin/bash
# Writes to the journal which live patches dracut packs, and that the image was written, so that
# klp-audit can prove later what an initrd contains. It adds nothing to the image and never fails or
# delays a build: without a journal, or if the program takes longer than two seconds, nothing is
# written.

# called by dracut
check() {
    [[ -x /usr/bin/klp-audit ]] || return 1
    return 0
}

# called by dracut
depends() {
    return 0
}

klp_audit_log() {
    # tukit names the root file system of a snapshot.
    local root=${dracutsysrootdir:-${TRANSACTIONAL_UPDATE_ROOT-}}
    # shellcheck disable=SC2154 # dracut's variables
    timeout -k 1 2 /usr/bin/klp-audit dracut-log --initdir "$initdir" --kernel "$kernel" \
        --image "$outfile" ${root:+--sysroot "$root"} "$@" < /dev/null &> /dev/null
    return 0
}

# called when dracut exits, before it cleans up
klp_audit_end() {
    local ret=$?
    [[ $ret == 0 ]] && klp_audit_log --written
    return "$ret"
}

# called by dracut, after all other modules: modules run in the order of their names
install() {
    # shellcheck disable=SC2154
    # The files that dracut installs after its modules may include a live patch, too.
    local later="$drivers $add_drivers $force_drivers $filesystems"
    later+=" $install_items $install_optional_items ${include_src[*]}"
    klp_audit_log --drivers "$later"
    # dracut has no hook for a finished image, but it has an exit trap: trap -- '…' EXIT.
    local words=()
    eval "words=($(trap -p EXIT))"
    [[ ${words[2]} ]] && trap "klp_audit_end; ${words[2]}" EXIT
    return 0
}
