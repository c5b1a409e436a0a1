package pager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ownRights skips a test of what the environment may choose where it may choose nothing.
func ownRights(t *testing.T) {
	t.Helper()
	if Borrowed(func(string) string { return "" }) {
		t.Skip("the tests run with the rights of somebody else than who logged in")
	}
}

// shown is what is on the screen after so many lines were written.
func shown(t *testing.T, lines int, env map[string]string) string {
	t.Helper()
	ownRights(t)
	screen, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	p := New(screen, 10, func(name string) string { return env[name] })
	for i := range lines {
		if _, err := fmt.Fprintf(p, "line %d\n", i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(screen.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPager(t *testing.T) {
	const paged = "sed s/^/paged:/"
	for _, test := range []struct {
		name  string
		lines int
		env   map[string]string
		paged bool
	}{
		{"fits", 9, map[string]string{"PAGER": paged}, false},
		{"too long", 10, map[string]string{"PAGER": paged}, true},
		{"much too long", 100_000, map[string]string{"PAGER": paged}, true},
		{"own pager first", 10, map[string]string{"PAGER": "false", "KLP_AUDIT_PAGER": paged}, true},
		{"none", 100, map[string]string{"PAGER": paged, "KLP_AUDIT_PAGER": "cat"}, false},
		{"blank", 100, map[string]string{"PAGER": " "}, false},
		{"quoted", 100, map[string]string{"PAGER": "sed 's/^/paged: /'"}, true},
		{"not there", 100, map[string]string{"PAGER": "/nonexistent/pager -R"}, false},
		{"dumb terminal", 100, map[string]string{"PAGER": paged, "TERM": "dumb"}, false},
		{"no terminal type", 100, map[string]string{"PAGER": paged, "TERM": ""}, false},
		{"sudo", 100, map[string]string{"PAGER": paged, "SUDO_UID": "1000"}, false},
	} {
		env := map[string]string{"TERM": "xterm"}
		for name, value := range test.env {
			env[name] = value
		}
		got := shown(t, test.lines, env)
		if n := strings.Count(got, "line "); n != test.lines {
			t.Errorf("%s: %d lines are shown, want %d", test.name, n, test.lines)
		}
		if strings.Contains(got, "paged:") != test.paged {
			t.Errorf("%s: paged %v, want %v", test.name, !test.paged, test.paged)
		}
	}
}

// Who leaves the pager early has seen enough: that is no error, and nothing hangs.
func TestPagerIsLeft(t *testing.T) {
	if got := shown(t, 100_000, map[string]string{"TERM": "xterm", "PAGER": "head -n 3"}); got != "line 1\nline 2\nline 3\n" {
		t.Errorf("%.100q", got)
	}
	if got := shown(t, 100_000, map[string]string{"TERM": "xterm", "PAGER": "false"}); got != "" {
		t.Errorf("%.100q", got)
	}
}

// Less shows colours and starts nothing for those who have somebody else's rights.
func TestPagerIsToldWhatItMayDo(t *testing.T) {
	ownRights(t)
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{}, "LESS=FRX"},
		{map[string]string{"LESS": "-S"}, ""},
		{map[string]string{"LESS": "-S", "SUDO_UID": "1000", "PAGER": "sh -c evil", "KLP_AUDIT_PAGER": "evil"}, "LESS=FRX LESSSECURE=1 LESSHISTFILE=-"},
		{map[string]string{"PKEXEC_UID": "1000"}, "LESS=FRX LESSSECURE=1 LESSHISTFILE=-"},
		{map[string]string{"DOAS_USER": "kim"}, "LESS=FRX LESSSECURE=1 LESSHISTFILE=-"},
	} {
		p := New(nil, 10, func(name string) string { return test.env[name] })
		if got := strings.Join(p.env, " "); got != test.want || p.command[0] != "less" {
			t.Errorf("%v: %s %s, want %s", test.env, p.command, got, test.want)
		}
	}
}
