package main

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/internal/progress"
)

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
