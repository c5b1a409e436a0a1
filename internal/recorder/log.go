package recorder

import (
	"io"
	"sync"
)

// MaxLog bounds what is written to stderr during one frame: it is a pipe that libzypp empties only
// between frames.
const MaxLog = 4 << 10

// Log writes messages to stderr, which libzypp puts into its log: at most MaxLog bytes a frame, and
// w's errors are ignored.
type Log struct {
	mu   sync.Mutex
	w    io.Writer
	left int
}

// NewLog returns a log at the start of a frame.
func NewLog(w io.Writer) *Log { return &Log{w: w, left: MaxLog} }

// Reset starts a new frame.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = MaxLog
}

// Write writes as much of a message as still fits into the frame, and drops the rest.
func (l *Log) Write(message []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := message[:min(len(message), l.left)]
	l.left -= len(kept)
	l.w.Write(kept)
	return len(message), nil
}
