#!/bin/bash
# Writes the parts of a source package into a folder: source.sh FOLDER. The sources are the files
# that git knows, in their present state, together with the modules that they need, so that building
# needs no network. The same sources give the same files.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
name=klp-audit-$(sed -n 's/^Version: *//p' packaging/klp-audit.spec)
date=$(sed -n '2s/ - .*//p' packaging/klp-audit.changes)

pack() { tar -c --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner --mode=u+rw,go=u,go-w "$@"; }

# git must trust the folder even if this runs under sudo.
git -c safe.directory="$PWD" ls-files -z > "$out/files"
pack --no-recursion --null --transform "s,^,$name/,S" -T "$out/files" | xz -T1 > "$out/$name.tar.xz"
go mod vendor -o "$out/vendor"
pack -C "$out" vendor | gzip -n > "$out/vendor.tar.gz"
rm -rf "$out/vendor" "$out/files"
cp packaging/klp-audit-rpmlintrc "$out"

# As in OBS, the changelog is made from the .changes file.
{
	cat packaging/klp-audit.spec
	awk '/^-----/ { head = 1; next }
		head { print "*", $1, $2, $3, $6, substr($0, index($0, " - ") + 3); head = 0; next }
		NF { print }' packaging/klp-audit.changes
} > "$out/klp-audit.spec"
