package progress

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// screen is a terminal.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	columns atomic.Int32
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) line() (*Line, context.Context) {
	l := NewLine(s, func() int { return int(s.columns.Load()) })
	return l, l.Watch(context.Background())
}

// shows is what was written since it was asked last.
func (s *screen) shows(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.text.String(); got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	s.text.Reset()
}

const gone = "\r\x1b[K"

func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		s.columns.Store(80)
		line, ctx := s.line()
		defer line.Close()
		work := Begin(ctx, "reading", 200)
		work.Add(50)
		time.Sleep(999 * time.Millisecond)
		s.shows(t, "")
		time.Sleep(time.Millisecond)
		s.shows(t, "\rklp-audit: reading: 25%\x1b[K")
		time.Sleep(10 * time.Second)
		s.shows(t, "") // nothing is new
		part := Begin(ctx, "counting", 0)
		io.Copy(part, strings.NewReader("seven__"))
		time.Sleep(every)
		s.shows(t, "\rklp-audit: counting: 7\x1b[K")
		part.End()
		s.shows(t, gone)
		work.At(400) // more than there was to do
		time.Sleep(every)
		s.shows(t, "\rklp-audit: reading: 100%\x1b[K")
		line.Write([]byte("a warning\n"))
		s.shows(t, gone+"a warning\n")
		time.Sleep(every)
		s.shows(t, "\rklp-audit: reading: 100%\x1b[K")
		s.columns.Store(20)
		work.At(0)
		time.Sleep(every)
		s.shows(t, "\rklp-audit: reading:\x1b[K")
		s.columns.Store(0) // in the background
		work.At(100)
		time.Sleep(every)
		s.shows(t, "")
		work.End()
		s.shows(t, gone)
		time.Sleep(time.Minute)
		s.shows(t, "")
	})
}

// Nobody looks, and nothing is counted.
func TestUnwatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		line, ctx := s.line()
		defer line.Close()
		for _, ctx := range []context.Context{context.Background(), Unwatched(ctx)} {
			work := Begin(ctx, "reading", 1)
			work.Add(1)
			work.At(1)
			time.Sleep(2 * patience)
			work.End()
		}
		s.shows(t, "")
	})
}
