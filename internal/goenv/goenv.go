// Package goenv keeps the variables by which Go's runtime is set away from the programs that
// run in a commit: what zypper's caller has set for others could make them take seconds and
// gigabytes, or fill libzypp's pipe for messages.
package goenv

import (
	"slices"
	"strings"
)

// Own are the settings of those programs themselves: few threads, for zypper may need the
// tasks, and no stack where a program of Go panics. What the runtime writes when it cannot go on
// at all, it writes in any case: the recorder has no libzypp on its stderr. The plugin's entry
// has them, too.
func Own() []string { return []string{"GOMAXPROCS=1", "GOTRACEBACK=none"} }

// Clean returns env with Own in place of what else sets Go's runtime. foreign says whether
// there was any.
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
