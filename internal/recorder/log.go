package recorder

import (
	"io"
	"sync"
)

// MaxLog bounds what one frame may write to stderr, a pipe that libzypp empties only between
// frames.
const MaxLog = 4 << 10

// Log writes messages to stderr, which libzypp puts into its log: not more than
// MaxLog bytes a frame, and never blocking on w's errors.
type Log struct {
	mu   sync.Mutex
	w    io.Writer
	left int
}

// NewLog returns a log that begins with a frame.
func NewLog(w io.Writer) *Log { return &Log{w: w, left: MaxLog} }

// Reset starts a new frame.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = MaxLog
}

// Write writes as much of a message as the frame has room for, and drops the rest.
func (l *Log) Write(message []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := message[:min(len(message), l.left)]
	l.left -= len(kept)
	l.w.Write(kept)
	return len(message), nil
}
