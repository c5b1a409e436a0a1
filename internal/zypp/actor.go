package zypp

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// Unset stands for anything the system does not say. It is never guessed.
const Unset = "unset"

// Caller is who and what runs a commit.
type Caller struct {
	Actor   record.Actor
	Command []string       // of the program that uses libzypp, redacted; nil: not known
	Libzypp record.Process // that program; zero: not known
}

// named is a name from outside, empty if there is none: the literal "unset" counts as none.
func named(text string) string {
	if text == Unset {
		return ""
	}
	return validText(text)
}

// Inspect finds out who runs the commit that the process self, a plugin, was started for. It reads
// the /proc file system and etc/passwd below root. Even if there is an error, which says that the
// libzypp process cannot be found, the actor holds everything that could be read.
func Inspect(proc, root fs.FS, self int, environ func(string) string) (Caller, error) {
	var c Caller
	c.Actor = record.Actor{
		Session:  auditID(proc, procName(self, "sessionid")),
		EUID:     effectiveUID(proc, self),
		SudoUser: named(environ("SUDO_USER")),
		SudoUID:  named(environ("SUDO_UID")),
		TTY:      Unset,
		Exe:      Unset,
	}
	c.Actor.LoginUID, c.Actor.Login = login(proc, root, self)
	chain, err := lineage(proc, self)
	if err != nil {
		return c, fmt.Errorf("finding the libzypp process: %w", err)
	}
	c.Actor.TTY = ttyName(chain[0].tty)
	c.Actor.Automation = automation(proc, chain, environ)
	libzypp, err := findLibzypp(chain[1:], environ("ZYPP_IS_RUNNING"))
	if err != nil {
		return c, fmt.Errorf("finding the libzypp process: %w", err)
	}
	c.Actor.Exe = exe(proc, libzypp.pid)
	for _, arg := range argv(proc, libzypp.pid) {
		c.Command = append(c.Command, validText(Redact(arg)))
	}
	c.Libzypp = libzypp.process()
	return c, nil
}

func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// auditID reads a login uid or session; the kernel shows an unset one as 2^32-1.
func auditID(proc fs.FS, name string) string {
	text, err := readText(proc, name)
	if err != nil {
		return Unset
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil || n == 1<<32-1 {
		return Unset
	}
	return strconv.FormatUint(n, 10)
}

// login returns the audit login uid, in decimal, and its user's name.
func login(proc, root fs.FS, self int) (uid, name string) {
	uid = auditID(proc, procName(self, "loginuid"))
	if uid == Unset {
		return Unset, Unset
	}
	return uid, userName(root, uid)
}

// userName looks up a user in etc/passwd. Users of a directory service keep their number, because
// asking for their name could take longer than a commit may wait.
func userName(root fs.FS, uid string) string {
	text, err := readText(root, "etc/passwd")
	if err != nil {
		return uid
	}
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid && f[0] != "" {
			return validText(f[0])
		}
	}
	return uid
}

// effectiveUID reads the second number of the Uid line in /proc/PID/status.
func effectiveUID(proc fs.FS, pid int) string {
	text, err := readText(proc, procName(pid, "status"))
	if err != nil {
		return Unset
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Uid:" {
			return f[2]
		}
	}
	return Unset
}

// ttyName names a terminal by its device number (Documentation/admin-guide/devices.txt).
func ttyName(device uint32) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case device == 0:
		return Unset
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 229:
		return fmt.Sprintf("hvc%d", minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}
