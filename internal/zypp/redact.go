package zypp

import "strings"

// redacted replaces a secret.
const redacted = "***"

// Redact removes the secrets that a command line argument may contain: the user information of
// every URL in it, and the values of password parameters. A user name is removed with its password;
// in doubt it removes too much. Redacting twice changes nothing.
func Redact(arg string) string {
	// Removing a value can join separate parts: "//a/password=b/c&d@e" only then becomes a URL with
	// user information. Hence the second pass.
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

// redactValues writes "key=***" for parameters that carry a secret.
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

// isSecretKey says whether the text ends with the name of a secret. libzypp's own are proxypass in
// a URL's query, and the password in the mount options of a share.
func isSecretKey(text string) bool {
	text = strings.ToLower(text[max(0, len(text)-len("passphrase")):])
	for _, name := range []string{"pass", "password", "passwd", "passphrase"} {
		if strings.HasSuffix(text, name) {
			return true
		}
	}
	return false
}

// SameCommand says whether two quoted command lines can be the same, if the recorded one may be
// redacted more than the given one.
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
