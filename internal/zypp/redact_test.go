package zypp

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	tests := []struct{ name, arg, want string }{
		{"nothing to hide", "kernel-default=6.4.0-1.1", "kernel-default=6.4.0-1.1"},
		{"a URL without secrets", "https://host:8080/repo?proxy=p&x=a@b", "https://host:8080/repo?proxy=p&x=a@b"},
		{"a password", "https://user:geheim@host/x", "https://***@host/x"},
		{"a user alone may be a token", "https://token@host", "https://***@host"},
		{"a password with @ and :", "ftp://u:a@b:c@host/d@e", "ftp://***@host/d@e"},
		{"in a key=value argument", "--plus-repo=https://u:p@h/r", "--plus-repo=https://***@h/r"},
		{"two URLs", "http://a:b@c/,http://d:e@f", "http://***@c/,http://***@f"},
		{"a URL in a URL", "https://a:b@https://c:d@e", "https://***@https://***@e"},
		{"a proxy's password", "https://h/?proxy=p&proxyuser=u&proxypass=x/y?z&a=b", "https://h/?proxy=p&proxyuser=u&proxypass=***&a=b"},
		{"mount options", "cifs://h/s?mountoptions=user=u,password=x,y#f", "cifs://h/s?mountoptions=user=u,password=***#f"},
		{"upper case", "https://h?PassWord=x", "https://h?PassWord=***"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Redact(test.arg); got != test.want {
				t.Errorf("Redact(%q) = %q, want %q", test.arg, got, test.want)
			}
		})
	}
}

// A command line is recognized even if it was redacted more when it was recorded.
func TestSameCommand(t *testing.T) {
	for _, test := range []struct {
		recorded, told string
		want           bool
	}{
		{"'zypper' 'in' 'a'", "'zypper' 'in' 'a'", true},
		{"'zypper' 'in' 'a'", "'zypper' 'in' 'a' 'b'", false},
		{"'zypper' '***' 'a'", "'zypper' '--token=x' 'a'", true},
		{"'zypper' '***' '***'", "'zypper' '--token=x' '***'", true},
		{"'zypper' '***' 'a'", "'zypper' '--token=x' 'b'", false},
		{"'zypper' '***' 'b' '***'", "'zypper' 'a' 'c'", false},
		{"'a***a'", "'a'", false},
		{"***", "", true},
		{"'zypper' 'in'", "'zypper' '***'", false},
	} {
		if got := SameCommand(test.recorded, test.told); got != test.want {
			t.Errorf("%s and %s: %t", test.recorded, test.told, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://", "user:", "@host/x?proxypass=y&z")
	f.Add("a://a/password=b/c&d@e", "=pass=", "@")
	f.Add("x", "://pass=a&", "@b://c@d")
	f.Fuzz(func(t *testing.T, before, user, after string) {
		// The secret is in the user information of a URL, whatever surrounds it.
		const secret = "\x01\x02geheim\x02\x01"
		user = strings.NewReplacer("/", "", "?", "", "#", "").Replace(user)
		s := before + "://" + user + secret + "@" + after
		got := Redact(s)
		if strings.Contains(got, secret) {
			t.Errorf("Redact(%q) = %q shows the secret", s, got)
		}
		if again := Redact(got); again != got {
			t.Errorf("Redact(%q) = %q, redacted again %q", s, got, again)
		}
		once := Redact(after)
		if again := Redact(once); again != once {
			t.Errorf("Redact(%q) = %q, redacted again %q", after, once, again)
		}
	})
}
