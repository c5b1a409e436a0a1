// Package pager shows what is longer than the screen page by page, in the program that the user has
// chosen for that.
package pager

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
)

// Pager writes to a terminal. As soon as that is more than fits the screen, it goes through the
// user's pager.
type Pager struct {
	screen  io.Writer
	room    int // lines that still fit
	command []string
	env     []string
	held    bytes.Buffer // while all fits
	in      io.Writer    // where to write; nil: still held
	close   func()       // of the pager, which then waits until the user leaves it
}

// New returns a pager for a screen with so many rows. The first of $KLP_AUDIT_PAGER, $PAGER and less is
// the program; cat means none.
func New(screen io.Writer, rows int, getenv func(string) string) *Pager {
	p := &Pager{screen: screen, room: rows, close: func() {}}
	program := cmp.Or(getenv("KLP_AUDIT_PAGER"), getenv("PAGER"), "less")
	p.command = strings.Fields(program)
	if strings.ContainsAny(program, "'\"\\`$|&;<>()*?[#~=") { // as other programs read it
		p.command = []string{"sh", "-c", program}
	}
	term := getenv("TERM")
	if len(p.command) == 0 || p.command[0] == "cat" || term == "" || term == "dumb" {
		p.in = screen
	}
	if getenv("LESS") == "" {
		p.env = []string{"LESS=FRX"}
	}
	if Borrowed(getenv) {
		p.command, p.env = []string{"less"}, []string{"LESS=FRX", "LESSSECURE=1", "LESSHISTFILE=-"}
	}
	return p
}

// Borrowed says whether the user has somebody else's rights, by sudo for example. Who may call this
// program with them may not call a shell, or what the environment names: so less is told to start nothing.
func Borrowed(getenv func(string) string) bool {
	for _, name := range []string{"SUDO_UID", "PKEXEC_UID", "DOAS_USER"} {
		if getenv(name) != "" {
			return true
		}
	}
	login, err := os.ReadFile("/proc/self/loginuid")
	uid, bad := strconv.ParseUint(strings.TrimSpace(string(login)), 10, 32)
	known := err == nil && bad == nil && uid != 1<<32-1
	return known && int(uid) != os.Geteuid() || os.Getuid() != os.Geteuid()
}

// Write implements io.Writer. What comes after the user left the pager is dropped.
func (p *Pager) Write(b []byte) (int, error) {
	if p.in != nil {
		return p.in.Write(b)
	}
	p.held.Write(b)
	if p.room -= bytes.Count(b, []byte("\n")); p.room > 0 {
		return len(b), nil
	}
	p.start()
	_, err := p.held.WriteTo(p.in)
	return len(b), err
}

// start starts the pager. Where there is none, the screen has to do.
func (p *Pager) start() {
	p.in = p.screen
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env = append(cmd.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = p.screen, p.screen
	if pipe, err := cmd.StdinPipe(); err == nil && cmd.Start() == nil {
		signal.Ignore(os.Interrupt) // Ctrl-C is the pager's now, and the terminal, too, until the user leaves it
		p.in = untilLeft{pipe}
		p.close = func() {
			pipe.Close()
			cmd.Wait() // its status says nothing about the report
		}
	}
}

// untilLeft writes to a pager until it ends.
type untilLeft struct{ io.Writer }

// Write implements io.Writer.
func (u untilLeft) Write(b []byte) (int, error) {
	u.Writer.Write(b)
	return len(b), nil
}

// Close shows what is held, or waits until the user leaves the pager.
func (p *Pager) Close() error {
	_, err := p.held.WriteTo(p.screen)
	p.close()
	return err
}
