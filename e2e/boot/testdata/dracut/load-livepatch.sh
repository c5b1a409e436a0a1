#!/bin/sh
# Loads the live patches of the running kernel.
for module in /usr/lib/modules/"$(uname -r)"/livepatch/*.ko; do
    [ -e "$module" ] && insmod "$module"
done
