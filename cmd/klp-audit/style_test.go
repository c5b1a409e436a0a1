package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/report/table"
)

// openTerminal returns a pseudo terminal of 132 columns.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skipf("no pseudo terminal: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	master := open("/dev/ptmx")
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 132}); err != nil {
		t.Fatal(err)
	}
	return open(fmt.Sprintf("/dev/pts/%d", number))
}

func TestStyle(t *testing.T) {
	terminal, pipe := openTerminal(t), io.Writer(&bytes.Buffer{})
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, test := range []struct {
		name   string
		stdout io.Writer
		color  string
		env    map[string]string
		want   table.Style
	}{
		{"pipe", pipe, "auto", nil, table.Style{}},
		{"pipe of a known width", pipe, "auto", map[string]string{"COLUMNS": "200"}, table.Style{Width: 200}},
		{"pipe of no width", pipe, "auto", map[string]string{"COLUMNS": "wide"}, table.Style{}},
		{"file", null, "auto", nil, table.Style{}},
		{"terminal", terminal, "auto", nil, table.Style{Width: 132, Color: true}},
		{"terminal says its width", terminal, "auto", map[string]string{"COLUMNS": "70"}, table.Style{Width: 132, Color: true}},
		{"NO_COLOR", terminal, "auto", map[string]string{"NO_COLOR": "1"}, table.Style{Width: 132}},
		{"dumb terminal", terminal, "auto", map[string]string{"TERM": "dumb"}, table.Style{Width: 132}},
		{"never", terminal, "never", nil, table.Style{Width: 132}},
		{"always", pipe, "always", nil, table.Style{Color: true}},
		{"always, NO_COLOR", terminal, "always", map[string]string{"NO_COLOR": "1", "TERM": "dumb"}, table.Style{Width: 132, Color: true}},
	} {
		a := app{env: env{Stdout: test.stdout, Getenv: func(name string) string { return test.env[name] }}, color: test.color}
		if got := a.style(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for pattern, good := range map[string]bool{
		"kim": true, "kernel-*-default": true, "kim[0-9]?": true, "[^a]": true, "[]]": true, "[^]]": true, "[[]": true, "a]": true, `\`: true,
		"[": false, "[a": false, "[]": false, "[^": false, "[^]": false, "[a][": false, "kim[]x": false,
	} {
		var value string
		err := glob{&value}.Set(pattern)
		if (err == nil) != good || good && value != pattern {
			t.Errorf("%s: %q, %v", pattern, value, err)
		}
	}
}

// A pattern that is refused is one that matches nothing.
func FuzzGlob(f *testing.F) {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	f.Add("kim[0-9]*", "kim1")
	f.Add("[^]]", "a")
	f.Add("[", "[")
	f.Add("[]x", "x")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if strings.ContainsRune(pattern+text, 0) { // ends a text for SQLite's GLOB
			return
		}
		var value string
		var matches bool
		if err := db.QueryRow(`SELECT ? GLOB ?`, text, pattern).Scan(&matches); err != nil {
			t.Fatal(err)
		}
		if matches && (glob{&value}).Set(pattern) != nil {
			t.Errorf("%q is refused, and matches %q", pattern, text)
		}
	})
}

// Errors that were joined are told apart, and what comes from outside is made printable.
func TestComplain(t *testing.T) {
	var b bytes.Buffer
	(&app{env: env{Stderr: &b}}).complain("%v", errors.Join(errors.New("no room"), errors.New("no file \x1b[2J")))
	if want := "klp-audit: no room; no file ?[2J\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// Every command and every flag is explained; a value is called by what it is, not by a type of Go.
func TestHelp(t *testing.T) {
	var a app
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		var b strings.Builder
		cmd.SetOut(&b)
		if err := cmd.Help(); err != nil || cmd.Short == "" {
			t.Errorf("%s: no help (%v)", cmd.CommandPath(), err)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			if f.Usage == "" || !strings.Contains(b.String(), "--"+f.Name) {
				t.Errorf("%s: --%s is not explained", cmd.CommandPath(), f.Name)
			}
			if value, _ := pflag.UnquoteUsage(f); strings.ToUpper(value) != value {
				t.Errorf("%s: the value of --%s is called %s", cmd.CommandPath(), f.Name, value)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.command())
}
