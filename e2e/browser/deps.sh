#!/bin/sh
# Installs what pages are looked at with: a browser, and fonts, also for what is written in other scripts than Latin.
set -eu

missing() { ! command -v "$1" >/dev/null 2>&1; }
speaks() { [ -n "$(fc-list ":lang=$1" 2>/dev/null | head -n 1)" ]; }

need=
missing chromium && need="chromium"
missing fc-list && need="$need fontconfig"
for lang in en ja ko ar he; do
	speaks "$lang" || need="$need fonts-noto-cjk fonts-noto-core"
done
[ -z "$need" ] && exit 0

if ! missing apt-get; then
	apt-get update -q
	# shellcheck disable=SC2086 # words
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $need
elif ! missing zypper; then
	zypper --non-interactive install chromium fontconfig google-noto-sans-fonts google-noto-sans-cjk-fonts google-noto-sans-arabic-fonts google-noto-sans-hebrew-fonts || true
else
	echo "deps.sh: neither apt-get nor zypper here; install: $need" >&2
	exit 1
fi
