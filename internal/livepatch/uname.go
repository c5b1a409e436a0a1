package livepatch

import "strings"

// Marker looks for the mark that every SUSE live patch leaves in the text of uname -v: the hash of
// the kernel's sources in parentheses at its end becomes (b2a976e/lp), before 15 SP4
// (b2a976e/lp-cd28ef5) with the revision of the live patch, and in SUSE Linux Enterprise 12
// (b2a976e/kGraft-cd28ef5). A missing mark proves nothing: the text may have no room for it, and a
// process may hold an older text.
func Marker(version string) (patched bool, rev string) {
	version = strings.TrimSpace(version)
	_, mark, _ := strings.Cut(version[strings.LastIndexByte(version, '(')+1:], "/")
	mark, closed := strings.CutSuffix(mark, ")")
	mark, rev, hasRev := strings.Cut(mark, "-")
	if !closed || mark != "lp" && mark != "kGraft" || hasRev && !isHash(rev) {
		return false, ""
	}
	return true, rev
}

// isHash reports whether s could be an abbreviated hash. The texts that follow it match [a-z0-9]+.
func isHash(s string) bool {
	return s != "" && isPlain(s) && !strings.ContainsAny(s, "._+") && s == strings.ToLower(s)
}
