// Package plugin is the part of klp-audit that libzypp talks to: it reads the frames sent to a
// commit plugin, and records what a commit does to kernels and live patches. It never harms the
// commit: it answers every frame in time, whatever happens to the record.
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
	// spoolTime is reserved from recorder.AnswerTime for spooling an event that could not be
	// recorded in time.
	spoolTime = time.Second
	// restTime is how long the work of a session may go on after the last answer.
	restTime = 45 * time.Second
)

// Session follows one run of the plugin. Create it with NewSession.
type Session struct {
	rec       *recorder.Recorder
	log       *recorder.Log
	userData  string
	begun     bool          // COMMITBEGIN with a tracked package, and no end yet
	changed   bool          // COMMITEND of such a commit, but no observation since
	observing bool          // an observation is under way
	busy      chan struct{} // closed when the last work has ended; nil: there was none
	left      time.Duration // how long zypper may still have to wait
	until     time.Time     // latest time for this frame's answer
}

// NewSession returns a session on the machine whose file tree is at root. version is the
// program's; getenv reads the environment; messages go to stderr.
func NewSession(root, version string, getenv func(string) string, stderr io.Writer) *Session {
	log := recorder.NewLog(stderr)
	return &Session{rec: recorder.New(root, version, getenv, log), log: log, left: recorder.AnswerTime}
}

// Serve speaks libzypp's commit plugin protocol from PLUGINBEGIN to _DISCONNECT or the end of
// input, and records what the frames say. The first answered frames get no second answer. It
// returns an error if the frames made no sense; the record may still be complete.
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
		// Without a PLUGINEND before it, libzypp has dropped this plugin and the commit goes on.
		// The next program to open the record finds out how it ended.
	}
}

func (s *Session) commitBegin(f *frame.Frame) {
	steps, err := trackedSteps(f.Body)
	if len(steps) == 0 && err == nil || err != nil && f.Cut() {
		return // nothing tracked; or libzypp ended while it wrote this, and nothing begins
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
		return // libzypp ended while it wrote this: the end of input handles that
	}
	s.changed = true
	s.close(recorder.Ending{How: recorder.Committed, Steps: steps, Problem: err})
}

// observe observes the machine after a recorded commit. If recording was already slow or failed,
// zypper does not have to wait for this, too.
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

// ended handles the end of input without _DISCONNECT: libzypp has ended or was killed.
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

// within does work and waits for it as long as libzypp may have to wait. The context of the work
// ends a little earlier, so that there is time to spool an event.
func (s *Session) within(work func(context.Context)) {
	ctx, cancel := context.WithDeadline(context.Background(), s.until.Add(-spoolTime))
	s.run(func() {
		defer cancel()
		work(ctx)
	})
	s.wait()
}

// run starts work when the previous work has ended. It stops a panic.
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

// wait waits for the work as long as zypper may still have to wait.
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
