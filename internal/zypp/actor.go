package zypp

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Unset stands for what the system does not say. It is never guessed.
const Unset = "unset"

// Actor is who and what runs a commit.
type Actor struct {
	// LoginUID is the audit login uid; nil when it is unset, as for a service.
	LoginUID *uint32 `json:"login_uid"`
	// Login is its user name, or the number when no name is known.
	Login string `json:"login"`
	// Session is the audit session.
	Session string `json:"session"`
	// EUID is the effective user id, in decimal.
	EUID     string `json:"euid"`
	SudoUser string `json:"sudo_user"`
	SudoUID  string `json:"sudo_uid"`
	// TTY is the controlling terminal, as in "pts/3", "tty1", "ttyS0".
	TTY string `json:"tty"`
	// Exe is the path of the program that uses libzypp.
	Exe string `json:"exe"`
	// Command is the command line of that program, redacted.
	Command []string `json:"command"`
	// Automation is what started the commit when no human did, as in "salt-minion" or
	// "systemd:packagekit.service"; empty when there is no sign of any.
	Automation string `json:"automation"`
}

// Inspect finds out who runs the commit that the process self, a plugin, is started for. It
// reads the /proc file system and etc/passwd below root. The actor is as good as it can be
// also beside an error, which says that the libzypp process cannot be found.
func Inspect(proc, root fs.FS, self int, environ func(string) string) (Actor, Process, error) {
	a := Actor{
		Session:  auditID(proc, procName(self, "sessionid")),
		EUID:     effectiveUID(proc, self),
		SudoUser: orUnset(environ("SUDO_USER")),
		SudoUID:  orUnset(environ("SUDO_UID")),
		TTY:      Unset,
		Exe:      Unset,
	}
	a.LoginUID, a.Login = login(proc, root, self)
	chain, err := lineage(proc, self)
	if err != nil {
		return a, Process{}, fmt.Errorf("finding the libzypp process: %w", err)
	}
	a.TTY = ttyName(chain[0].tty)
	a.Automation = automation(proc, chain, environ)
	libzypp, err := findLibzypp(chain[1:], environ("ZYPP_IS_RUNNING"))
	if err != nil {
		return a, Process{}, fmt.Errorf("finding the libzypp process: %w", err)
	}
	a.Exe = exe(proc, libzypp.pid)
	for _, arg := range argv(proc, libzypp.pid) {
		a.Command = append(a.Command, strings.ToValidUTF8(Redact(arg), "\uFFFD"))
	}
	return a, libzypp.process(), nil
}

func orUnset(value string) string {
	if value == "" {
		return Unset
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}

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

func login(proc, root fs.FS, self int) (*uint32, string) {
	text := auditID(proc, procName(self, "loginuid"))
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, Unset
	}
	uid := uint32(n)
	return &uid, userName(root, text)
}

// userName looks a user up in etc/passwd. Users of a directory service keep their number: to
// ask for their name could take longer than a commit may wait.
func userName(root fs.FS, uid string) string {
	text, err := readText(root, "etc/passwd")
	if err != nil {
		return uid
	}
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid && f[0] != "" {
			return strings.ToValidUTF8(f[0], "\uFFFD")
		}
	}
	return uid
}

// effectiveUID takes the second number of the Uid line in /proc/PID/status.
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
