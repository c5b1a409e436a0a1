package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// exchange is a question at the end of zypper's output, and the answer to it.
type exchange struct{ question, answer string }

// startAt starts a command at a terminal and answers its questions.
func (l *lab) startAt(cmd *exec.Cmd, talk ...exchange) *running {
	l.t.Helper()
	keyboard, terminal, err := openTerminal()
	if err != nil {
		l.t.Fatalf("opening a terminal: %v", err)
	}
	l.t.Cleanup(func() { keyboard.Close(); terminal.Close() })
	cmd.Stdin = terminal
	cmd.SysProcAttr.Setctty = true // the terminal is descriptor 0
	r := l.start(cmd)
	for _, e := range talk {
		asked := func() bool { return strings.HasSuffix(r.output(), e.question) }
		l.await(e.question, asked)
		l.await("zypper to take an answer", func() bool {
			if !asked() {
				return true
			}
			// Again and again, because zypper discards what was typed before it reads.
			if _, err := keyboard.WriteString(e.answer + "\n"); err != nil {
				l.t.Fatal(err)
			}
			return false
		})
	}
	return r
}

// openTerminal opens the two ends of a pseudo terminal.
func openTerminal() (keyboard, terminal *os.File, err error) {
	keyboard, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	return keyboard, terminal, err
}
