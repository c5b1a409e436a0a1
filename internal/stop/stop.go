// Package stop ends a program that a signal asks to end: what it does is undone first.
package stop

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit and the number of a signal are the exit status that shells show of a program which a signal ended.
const Exit = 128

// stopped is why a context has ended: a signal came.
type stopped struct{ syscall.Signal }

// Error names the signal.
func (s stopped) Error() string { return "stopped by " + unix.SignalName(s.Signal) }

// Watch ends what is done at the first signal that asks for it, so that it is undone; a second one ends the program at
// once. What was ignored when the program began, as by nohup, stays so.
func Watch(end context.CancelCauseFunc) {
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

// By is the signal that an error of a command comes from, 0 if it comes from none.
func By(ctx context.Context, err error) syscall.Signal {
	if s, ok := errors.AsType[stopped](context.Cause(ctx)); ok {
		return s.Signal
	}
	if errors.Is(err, syscall.EPIPE) {
		return syscall.SIGPIPE
	}
	return 0
}

// End ends the program by the signal that stopped it, if one did: who started it shall know, a shell's loop above all.
// Of SIGPIPE, which Go ignores, the exit status tells.
func End(code int) {
	if s := syscall.Signal(code - Exit); s > 0 && s != syscall.SIGPIPE {
		signal.Reset(s)
		syscall.Kill(os.Getpid(), s)
		time.Sleep(time.Second) // until it comes
	}
}
