// Package goenv keeps the variables that control Go's runtime away from the programs that run in a
// commit: settings that zypper's caller made for other programs could make them take seconds and
// gigabytes, or fill libzypp's message pipe.
package goenv

import (
	"slices"
	"strings"
)

// Own are the settings of those programs themselves: few threads, because zypper may need the
// tasks, and no stack trace when a Go program panics. What the runtime writes when it cannot go on
// at all cannot be turned off, so the recorder's stderr is not libzypp's. The plugin's entry uses
// these settings, too.
func Own() []string { return []string{"GOMAXPROCS=1", "GOTRACEBACK=none"} }

// Clean returns env with Own instead of other settings of Go's runtime. foreign says whether there
// were any.
func Clean(env []string) (clean []string, foreign bool) {
	own := Own()
	clean = slices.Clone(own)
	for _, v := range env {
		switch {
		case !isGo(v):
			clean = append(clean, v)
		case !slices.Contains(own, v):
			foreign = true
		}
	}
	return clean, foreign
}

// isGo says whether a variable is one of Go's.
func isGo(v string) bool {
	name, ok := strings.CutPrefix(v, "GO")
	return ok && name != "" && 'A' <= name[0] && name[0] <= 'Z'
}
