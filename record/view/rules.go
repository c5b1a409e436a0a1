package view

import (
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// commandLine writes an argument vector as one line that a shell would split into the same
// arguments; empty: there is none.
func commandLine(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`|&;<>()*?[]#~!{}") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
}

// Shown returns the stretch of a boot, in microseconds since 1970, for which the journal was
// complete; it begins at 0 if the journal showed the start of the boot and the clock was set back
// after that. ok is false if messages were lost or files were left out.
func Shown(b *record.Boot) (first, last int64, ok bool) {
	first, last = b.First.UnixMicro(), b.Last.UnixMicro()
	if first > last && b.StartInJournal {
		first = 0
	}
	return first, last, !b.MessagesLost && !b.Incomplete
}
