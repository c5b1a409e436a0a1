#!/bin/sh
# Runs every fuzz target for the given time each.
set -eu

time=$1
for dir in $(go list -f '{{.Dir}}' ./...); do
	for target in $(grep -hos '^func Fuzz[A-Za-z0-9]*' "$dir"/*_test.go | cut -d' ' -f2); do
		echo "== $target in ${dir#"$PWD"/}"
		go test -tags sqlite_omit_load_extension -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$dir"
	done
done
