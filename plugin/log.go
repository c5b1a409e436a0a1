package plugin

import (
	"io"
	"sync"
)

// maxLog bounds what one frame may write to stderr, a pipe that libzypp empties only between
// frames.
const maxLog = 4 << 10

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

// Write writes as much of a message as the frame has room for, and drops the rest.
func (l *frameLog) Write(message []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := message[:min(len(message), l.left)]
	l.left -= len(kept)
	l.w.Write(kept)
	return len(message), nil
}
