package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/internal/progress"
)

// exitSignal and the number of a signal are the exit status that shells show of a program which a signal ended.
const exitSignal = 128

// stopped is why a context has ended: a signal came.
type stopped struct{ syscall.Signal }

// Error names the signal.
func (s stopped) Error() string { return "stopped by " + unix.SignalName(s.Signal) }

// watchSignals ends what is done at the first signal that asks for it, so that it is undone; a second one ends the
// program at once. What was ignored when the program began, as by nohup, stays so.
func watchSignals(end context.CancelCauseFunc) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // writing fails instead
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		s := <-signals
		signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		end(stopped{s.(syscall.Signal)})
	}()
}

// stoppedBy is the signal that an error of a command comes from, 0 if it comes from none.
func stoppedBy(ctx context.Context, err error) syscall.Signal {
	if s, ok := errors.AsType[stopped](context.Cause(ctx)); ok {
		return s.Signal
	}
	if errors.Is(err, syscall.EPIPE) {
		return syscall.SIGPIPE
	}
	return 0
}

// endBy ends the program by the signal that stopped it, if one did: who started it shall know, a shell's loop above
// all. Of SIGPIPE, which Go ignores, the exit status tells.
func endBy(code int) {
	if s := syscall.Signal(code - exitSignal); s > 0 && s != syscall.SIGPIPE {
		signal.Reset(s)
		syscall.Kill(os.Getpid(), s)
		time.Sleep(time.Second) // until it comes
	}
}

// progressLine is the line that shows long work, nil where nobody would see it, or it would be in the way.
func progressLine(ctx context.Context) (*progress.Line, context.Context) {
	fd := int(os.Stderr.Fd())
	if t := os.Getenv("TERM"); t == "" || t == "dumb" || !term.IsTerminal(fd) || isPipe(os.Stdout) {
		return nil, ctx
	}
	line := progress.NewLine(os.Stderr, func() int {
		if owner, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && owner != unix.Getpgrp() {
			return 0 // in the background
		}
		width, _, _ := term.GetSize(fd)
		return width
	})
	return line, line.Watch(ctx)
}

// isPipe says whether somebody reads along: what is written may go to the same terminal, as with a pager.
func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
