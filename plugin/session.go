// Package plugin is the side of klp-audit that libzypp talks to: it reads the frames of a
// commit plugin, and has recorded what a commit does to kernels and live patches. It never
// harms the commit: every frame is answered, in time, whatever happens to the record.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klp-audit/klp-audit/internal/frame"
	"github.com/klp-audit/klp-audit/internal/recorder"
)

const (
	// spoolTime is left of recorder.AnswerTime for an event that the record does not take in time.
	spoolTime = time.Second
	// restTime is how long the work for a session may go on once nobody waits for an answer
	// any more.
	restTime = 45 * time.Second
)

// Session follows one plugin life. Create it with NewSession.
type Session struct {
	rec       *recorder.Recorder
	log       *recorder.Log
	userData  string
	begun     bool          // COMMITBEGIN with a tracked package, and no end yet
	changed   bool          // COMMITEND of such a commit, and no observation since
	observing bool          // one is being taken
	busy      chan struct{} // closed when the last work has ended; nil: there was none
	left      time.Duration // that zypper may still be kept waiting
	until     time.Time     // when this frame's answer goes out at the latest
}

// NewSession returns a session on the machine whose file tree is at root. version is the
// program's; getenv reads the environment; messages go to stderr.
func NewSession(root, version string, getenv func(string) string, stderr io.Writer) *Session {
	log := recorder.NewLog(stderr)
	return &Session{rec: recorder.New(root, version, getenv, log), log: log, left: recorder.AnswerTime}
}

// Serve speaks libzypp's commit plugin protocol from PLUGINBEGIN to _DISCONNECT or the end of
// input, and has recorded what the frames say. The first ones, as many as were answered, get no
// answer again. It returns an error if the frames made no sense; the record may be complete all
// the same.
func (s *Session) Serve(r io.Reader, w io.Writer, answered int) error {
	frames := frame.NewReader(r)
	for n := 1; ; n++ {
		f, err := frames.Next()
		if err != nil {
			s.ended(err)
			if err == io.EOF {
				return nil
			}
			return fmt.Errorf("reading frame: %w", err)
		}
		s.until = time.Now().Add(s.left)
		s.handle(f)
		s.left = max(0, time.Until(s.until))
		if n > answered {
			err = frame.Answer(w, frame.Reply(f.Command))
		}
		if err != nil {
			s.ended(io.EOF) // nobody listens: libzypp is gone
			return fmt.Errorf("answering %s: %w", f.Command, err)
		}
		switch f.Command {
		case frame.CommitEnd:
			s.observe() // while libzypp rebuilds its caches
		case frame.Disconnect:
			s.rest(restTime)
			return nil
		}
	}
}

// handle does what a frame asks for.
func (s *Session) handle(f *frame.Frame) {
	s.log.Reset()
	switch f.Command {
	case frame.PluginBegin:
		s.userData, _ = f.Get("userdata")
	case frame.CommitBegin:
		s.commitBegin(f)
	case frame.CommitEnd:
		s.commitEnd(f)
	case frame.PluginEnd:
		s.close(recorder.Ending{How: recorder.Aborted})
		if s.observing {
			s.wait()
		}
	case frame.PackagesChanged:
		s.within(s.rec.Drift)
	case frame.Disconnect:
		// Without PLUGINEND before it, libzypp has dropped this plugin while the commit
		// goes on. How it ends is for whoever opens the record next to find out.
	}
}

func (s *Session) commitBegin(f *frame.Frame) {
	steps, err := trackedSteps(f.Body)
	if len(steps) == 0 && err == nil || err != nil && f.Cut() {
		return // nothing tracked; or libzypp ended while it wrote, and nothing begins
	}
	s.begun = true
	s.within(func(ctx context.Context) { s.rec.Begin(ctx, steps, err, s.userData) })
}

func (s *Session) commitEnd(f *frame.Frame) {
	if !s.begun {
		return
	}
	steps, err := trackedSteps(f.Body)
	if err != nil && f.Cut() {
		return // libzypp ended while it wrote this: the end of input says the rest
	}
	s.changed = true
	s.close(recorder.Ending{How: recorder.Committed, Steps: steps, Problem: err})
}

// observe has the machine looked at after a recorded commit. Where already the record
// takes long, or takes nothing, zypper is not kept waiting for more.
func (s *Session) observe() {
	if !s.changed {
		return
	}
	s.changed, s.observing = false, s.idle() && !s.rec.Held()
	if s.observing {
		s.run(s.rec.Observe)
		return
	}
	s.run(s.rec.ObserveLater)
}

// ended is the end of input without _DISCONNECT: libzypp has ended or was killed.
func (s *Session) ended(err error) {
	s.log.Reset()
	if !errors.Is(err, io.EOF) || !s.begun {
		s.rest(restTime)
		return
	}
	s.begun = false
	s.run(func() { s.rec.End(context.Background(), recorder.Ending{How: recorder.Interrupted}) })
	s.rest(recorder.QuietTime)
}

// close does the work that ends an open commit.
func (s *Session) close(e recorder.Ending) {
	if s.begun {
		s.begun = false
		s.within(func(ctx context.Context) { s.rec.End(ctx, e) })
	}
}

// within does work and waits for it as long as libzypp may be kept waiting. Its context ends
// a little before, so that what the record did not take can go to the spool.
func (s *Session) within(work func(context.Context)) {
	ctx, cancel := context.WithDeadline(context.Background(), s.until.Add(-spoolTime))
	s.run(func() {
		defer cancel()
		work(ctx)
	})
	s.wait()
}

// run starts work that begins when the work before it has ended. A panic of it goes no further.
func (s *Session) run(work func()) {
	before, done := s.busy, make(chan struct{})
	s.busy = done
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(s.log, "klp-audit: panic: %v\n", p)
			}
		}()
		if before != nil {
			<-before
		}
		work()
	}()
}

// idle says whether all work has ended.
func (s *Session) idle() bool {
	select {
	case <-s.busy:
		return true
	default:
		return s.busy == nil
	}
}

// wait waits for the work as long as zypper may still be kept waiting.
func (s *Session) wait() { s.rest(time.Until(s.until)) }

// rest waits for the work.
func (s *Session) rest(limit time.Duration) {
	if s.busy == nil {
		return
	}
	select {
	case <-s.busy:
	case <-time.After(limit):
	}
}
