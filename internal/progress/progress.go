// Package progress tells who waits how far long work has come. The work counts what is done, and knows
// nothing of terminals; a line shows it from time to time, while the work goes on.
package progress

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience = time.Second            // who waits no longer is shown nothing
	every    = 200 * time.Millisecond // the line is drawn anew
)

// Work is a piece of work that is under way. A nil one counts nothing: nobody looks.
type Work struct {
	what   string
	total  int64 // how much there is to do; 0: that is not known
	done   atomic.Int64
	line   *Line
	around *Work // of which it is a part; nil: of none
}

type lineKey struct{}

// Begin says that work begins, and how much there is to do, 0 where that is not known.
func Begin(ctx context.Context, what string, total int64) *Work {
	line, _ := ctx.Value(lineKey{}).(*Line)
	if line == nil {
		return nil
	}
	w := &Work{what: what, total: total, line: line}
	line.begin(w)
	return w
}

// Add says that so much more is done.
func (w *Work) Add(n int) {
	if w != nil {
		w.done.Add(int64(n))
	}
}

// At says how much is done.
func (w *Work) At(n int64) {
	if w != nil {
		w.done.Store(n)
	}
}

// End says that the work has ended. Nothing of it is on the terminal any more.
func (w *Work) End() {
	if w != nil {
		w.line.end(w)
	}
}

// Write implements io.Writer: it counts the bytes of what was read or written elsewhere.
func (w *Work) Write(p []byte) (int, error) {
	w.Add(len(p))
	return len(p), nil
}

// String says how far the work has come.
func (w *Work) String() string {
	done := w.done.Load()
	switch {
	case w.total > 0:
		return fmt.Sprintf("%s: %d%%", w.what, min(100, 100*done/w.total))
	case done > 0:
		return fmt.Sprintf("%s: %d", w.what, done)
	}
	return w.what
}

// Line is the last line of a terminal. It shows the work that is under way, and gives way to all else that is
// written through it.
type Line struct {
	out   io.Writer
	width func() int
	since time.Time // since when somebody waits
	start sync.Once
	stop  chan struct{}

	mu    sync.Mutex
	work  *Work
	shown string // what stands there; empty: nothing
}

// NewLine makes the last line of a terminal, to which out writes. width says how many columns it has; none
// while it belongs to somebody else.
func NewLine(out io.Writer, width func() int) *Line {
	return &Line{out: out, width: width, since: time.Now(), stop: make(chan struct{})}
}

// Watch has the line show all work with the context that it returns.
func (l *Line) Watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, lineKey{}, l)
}

// Unwatched is a context whose work is not shown.
func Unwatched(ctx context.Context) context.Context {
	return context.WithValue(ctx, lineKey{}, (*Line)(nil))
}

// Close has the line show nothing any more.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.stop)
	l.work = nil
	l.clear()
}

// Write implements io.Writer: what is written begins where the line did.
func (l *Line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return l.out.Write(p)
}

func (l *Line) begin(w *Work) {
	l.mu.Lock()
	w.around, l.work = l.work, w
	l.mu.Unlock()
	l.start.Do(func() { go l.run() })
}

func (l *Line) end(w *Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.work == w {
		l.work = w.around
	}
	l.clear()
}

func (l *Line) run() {
	wait := time.NewTimer(patience - time.Since(l.since))
	defer wait.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-wait.C:
			l.draw()
			wait.Reset(every)
		}
	}
}

func (l *Line) draw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	width := l.width()
	if l.work == nil || width <= 0 {
		return
	}
	text := []rune("klp-audit: " + l.work.String())
	text = text[:min(len(text), width-1)] // in the last column, some terminals begin a new line
	if string(text) != l.shown {
		l.shown = string(text)
		fmt.Fprintf(l.out, "\r%s\x1b[K", l.shown)
	}
}

func (l *Line) clear() {
	if l.shown != "" {
		io.WriteString(l.out, "\r\x1b[K")
		l.shown = ""
	}
}
