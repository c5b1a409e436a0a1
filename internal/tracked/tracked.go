// Package tracked tells from raw bytes whether they may name a package that is recorded.
// It links little: a program that libzypp starts in every commit uses it. What a name means
// is for package livepatch to say.
package tracked

import "bytes"

// Words returns what the names of tracked packages have in common: each has one of these in
// it, kernel-default-kmp-x or sle-module-live-patching-release. Names of other packages may,
// too. They begin with letters that are rare in a step list, which makes them quick to find.
func Words() []string {
	return []string{"kernel", "kgraft-patch-", "kmp-", "dracut", "patching", "p_sles", "module-tools"}
}

// longest is at least the length of the longest word.
const longest = len("kgraft-patch-")

// escape begins a letter that JSON spells as its number. No other escape stands for a
// character of a word.
const escape = `\u`

// MayName reports whether the JSON text may hold the name of a tracked package: false is
// certain, true is not.
func MayName(text []byte) bool {
	// Each word by itself: the search for one looks at many bytes at a time.
	for _, word := range Words() {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return bytes.Contains(text, []byte(escape))
}

// What libzypp writes before and after the steps of a list (PluginExecutor.cc).
const (
	listBegin = "{\n\"TransactionStepList\": ["
	listEnd   = "]\n}"
)

// List looks through a step list that is written to it, in pieces of any size. It keeps
// nothing of them but a few bytes.
type List struct {
	begin []byte // as far as it matters
	tail  []byte // of what has come so far
	named bool
}

// Write takes in the next piece.
func (l *List) Write(piece []byte) (int, error) {
	if missing := len(listBegin) - len(l.begin); missing > 0 {
		l.begin = append(l.begin, piece[:min(missing, len(piece))]...)
	}
	// A word may be in two pieces, or in more.
	l.tail = append(l.tail, piece[:min(longest, len(piece))]...)
	l.named = l.named || MayName(l.tail) || MayName(piece)
	if len(piece) > longest {
		l.tail = append(l.tail[:0], piece[len(piece)-longest:]...)
	}
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-longest):]...)
	return len(piece), nil
}

// Nothing says whether this is a list as libzypp writes it, and surely without a tracked
// package: whatever is between its ends, no name of one is.
func (l *List) Nothing() bool {
	return !l.named && string(l.begin) == listBegin && bytes.HasSuffix(l.tail, []byte(listEnd))
}
