// Package tracked says whether raw bytes may name a package that is recorded. It links little,
// because it is part of a program that libzypp starts in every commit. Package livepatch knows what
// a name means.
package tracked

import "bytes"

// Words returns words of which each tracked package name contains one, such as kernel-default-kmp-x
// or sle-module-live-patching-release. Other names may contain one, too. They begin with letters
// that are rare in a step list, so they are quick to find.
func Words() []string {
	return []string{"kernel", "kgraft-patch-", "kmp-", "dracut", "patching", "p_sles", "module-tools"}
}

// longest is at least the length of the longest word.
const longest = len("kgraft-patch-")

// escape starts a letter that JSON writes as its number. No other escape can stand for a character
// of a word.
const escape = `\u`

// MayName reports whether the JSON text may contain the name of a tracked package: false is
// certain, true is not.
func MayName(text []byte) bool {
	// Each word separately: searching for one word checks many bytes at a time.
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

// List scans a step list that is written to it, in pieces of any size. It keeps only a few bytes.
type List struct {
	begin []byte // as far as it is needed
	tail  []byte // last bytes so far
	named bool
}

// Write scans the next piece.
func (l *List) Write(piece []byte) (int, error) {
	if missing := len(listBegin) - len(l.begin); missing > 0 {
		l.begin = append(l.begin, piece[:min(missing, len(piece))]...)
	}
	// A word may be spread over two or more pieces.
	l.tail = append(l.tail, piece[:min(longest, len(piece))]...)
	l.named = l.named || MayName(l.tail) || MayName(piece)
	if len(piece) > longest {
		l.tail = append(l.tail[:0], piece[len(piece)-longest:]...)
	}
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-longest):]...)
	return len(piece), nil
}

// Nothing says whether this is a list as libzypp writes it, and certainly without a tracked
// package: whatever is between its ends, it is not the name of one.
func (l *List) Nothing() bool {
	return !l.named && string(l.begin) == listBegin && bytes.HasSuffix(l.tail, []byte(listEnd))
}
