package zypp

import "strings"

// redacted stands where a secret stood.
const redacted = "***"

// Redact removes the secrets that a command line argument can hold: the user information of
// every URL in it, and the values of password parameters. A user name goes with its password;
// when in doubt more is removed than needed. Redacting twice changes nothing.
func Redact(arg string) string {
	// A removed value can join what stood apart: "//a/password=b/c&d@e" becomes a URL with
	// user information only then, hence the second pass.
	return redactUserInfo(redactValues(redactUserInfo(arg)))
}

// redactUserInfo writes "://***@host" for each "://user:password@host".
func redactUserInfo(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "://")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("://")
		authority := after
		if end := strings.IndexAny(after, "/?#"); end >= 0 {
			authority = after[:end]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			b.WriteString(redacted)
			after = after[at:]
		}
		s = after
	}
}

// redactValues writes "key=***" for the parameters that carry a secret.
func redactValues(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "=")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('=')
		if isSecretKey(before) {
			b.WriteString(redacted)
			end := strings.IndexAny(after, "&#")
			if end < 0 {
				return b.String()
			}
			after = after[end:]
		}
		s = after
	}
}

// isSecretKey tells whether the text ends with the name of a secret. libzypp's own are
// proxypass in a URL's query, and the password among the mount options of a share.
func isSecretKey(text string) bool {
	text = strings.ToLower(text[max(0, len(text)-len("passphrase")):])
	for _, name := range []string{"pass", "password", "passwd", "passphrase"} {
		if strings.HasSuffix(text, name) {
			return true
		}
	}
	return false
}

// SameCommand says whether two quoted command lines can be the same one, of which more was
// redacted in the recorded than in the given one.
func SameCommand(recorded, told string) bool {
	parts := strings.Split(recorded, redacted)
	rest, ok := strings.CutPrefix(told, parts[0])
	if len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if ok {
			_, rest, ok = strings.Cut(rest, part)
		}
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
