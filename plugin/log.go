package plugin

import (
	"fmt"
	"io"
	"sync"
)

// frameLog writes messages to stderr, which libzypp puts into its log: not more than
// maxLog bytes a frame, and never blocking on w's errors.
type frameLog struct {
	mu   sync.Mutex
	w    io.Writer
	left int
}

func newFrameLog(w io.Writer) *frameLog { return &frameLog{w: w, left: maxLog} }

// reset starts a new frame.
func (l *frameLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = maxLog
}

func (l *frameLog) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	msg := []byte(fmt.Sprintf("klp-audit: "+format+"\n", args...))
	msg = msg[:min(len(msg), l.left)]
	l.left -= len(msg)
	l.w.Write(msg)
}
