#!/bin/bash
# Writes what a source package is made of into a folder: source.sh FOLDER. The sources are
# those that git knows, as they are now; the modules they need come along, so that building
# needs no network. The same sources give the same files.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
name=klp-audit-$(sed -n 's/^Version: *//p' packaging/klp-audit.spec)
date=$(sed -n '2s/ - .*//p' packaging/klp-audit.changes)

pack() { tar -c --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner --mode=u+rw,go=u,go-w "$@"; }

# git is asked as who owns the sources, also under sudo.
git -c safe.directory="$PWD" ls-files -z > "$out/files"
pack --no-recursion --null --transform "s,^,$name/,S" -T "$out/files" | xz -T1 > "$out/$name.tar.xz"
go mod vendor -o "$out/vendor"
pack -C "$out" vendor | gzip -n > "$out/vendor.tar.gz"
rm -rf "$out/vendor" "$out/files"
cp packaging/klp-audit-rpmlintrc "$out"

# As OBS does, the changelog is made of the .changes file.
{
	cat packaging/klp-audit.spec
	awk '/^-----/ { head = 1; next }
		head { print "*", $1, $2, $3, $6, substr($0, index($0, " - ") + 3); head = 0; next }
		NF { print }' packaging/klp-audit.changes
} > "$out/klp-audit.spec"
