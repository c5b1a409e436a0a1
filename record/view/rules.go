package view

import (
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// commandLine writes an argument vector as one line that a shell would split into it again; empty: there is
// none.
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

// Shown is the stretch of a boot, in microseconds since 1970, of which the journal showed everything; from 0
// on if it showed the start of the boot, and the clock was set back after that. ok is false where messages
// were lost, or files left out.
func Shown(b *record.Boot) (first, last int64, ok bool) {
	first, last = b.First.UnixMicro(), b.Last.UnixMicro()
	if first > last && b.StartInJournal {
		first = 0
	}
	return first, last, !b.MessagesLost && !b.Incomplete
}
