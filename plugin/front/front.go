// Package front is what libzypp talks to first. Most commits change no kernel and no live patch: it
// answers these itself, and hands the others over to the recorder, a larger program that such a
// commit should not pay for. It records nothing itself.
package front

import (
	"bytes"
	"errors"
	"io"

	"github.com/klp-audit/klp-audit/internal/frame"
	"github.com/klp-audit/klp-audit/internal/tracked"
)

// HandOver gives the rest of a session to the recorder: what was read of it so far, how many of its
// first frames are answered, and the input. It returns true when the session is over for this
// plugin, or false if there is no recorder.
type HandOver func(read []byte, answered int) bool

// Serve answers frames from r up to the first one that may concern the recorder. If there is no
// recorder, it answers the others, too: the changes will then show as drift.
func Serve(r io.Reader, w io.Writer, handOver HandOver) error {
	in := &tape{r: r, kept: make([]byte, 0, maxKept)}
	frames, piece := frame.NewReader(in), make([]byte, 64<<10)
	var begin []byte // the last PLUGINBEGIN, whose content is for the recorder
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil || !harmless(f, piece) {
			if handOver(append(begin, in.kept...), min(len(begin), 1)) {
				return nil
			} else if err != nil {
				return err
			}
			in.stop()
			return answerAll(f, frames, w)
		}
		if f.Command == frame.PluginBegin {
			begin = bytes.Clone(in.kept[:len(in.kept)-frames.Buffered()])
		}
		in.drop(frames.Buffered())
		if err := frame.Answer(w, frame.Reply(f.Command)); err != nil || f.Command == frame.Disconnect {
			return err
		}
	}
}

// Dummy answers every frame and records nothing.
func Dummy(r io.Reader, w io.Writer) error {
	frames := frame.NewReader(r)
	f, err := frames.Next()
	if err != nil {
		return endOfInput(err)
	}
	return answerAll(f, frames, w)
}

// answerAll answers a frame and all that follow.
func answerAll(f *frame.Frame, frames *frame.Reader, w io.Writer) error {
	for {
		err := frame.Answer(w, frame.Reply(f.Command))
		if err != nil || f.Command == frame.Disconnect {
			return err
		}
		if f, err = frames.Next(); err != nil {
			return endOfInput(err)
		}
	}
}

// endOfInput turns io.EOF into success.
func endOfInput(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// harmless reads the body of a frame, and says whether the recorder would only answer it. If that
// is not certain, it says no. piece is a buffer.
func harmless(f *frame.Frame, piece []byte) bool {
	switch f.Command {
	case frame.PluginBegin, frame.PluginEnd, frame.Disconnect:
		_, err := io.CopyBuffer(io.Discard, f.Body, piece)
		return err == nil
	case frame.CommitBegin, frame.CommitEnd:
		var list tracked.List
		_, err := io.CopyBuffer(&list, f.Body, piece)
		return err == nil && list.Nothing()
	}
	return false
}

// maxKept bounds what is kept of a session: a frame and what follows it in a buffer, or a list of
// 7,000 steps. Longer lists go to the recorder, which keeps nothing.
const maxKept = frame.MaxHead + 128<<10

var errFull = errors.New("the frame is too long to be kept")

// tape keeps what is read, so that it can be read again.
type tape struct {
	r    io.Reader
	kept []byte // up to its capacity
	off  bool
}

// Read implements io.Reader. It reads nothing that it cannot keep.
func (t *tape) Read(p []byte) (int, error) {
	if t.off {
		return t.r.Read(p)
	}
	p = p[:min(len(p), cap(t.kept)-len(t.kept))]
	if len(p) == 0 {
		return 0, errFull
	}
	n, err := t.r.Read(p)
	t.kept = append(t.kept, p[:n]...)
	return n, err
}

// drop forgets all but the last n bytes.
func (t *tape) drop(n int) { t.kept = append(t.kept[:0], t.kept[len(t.kept)-n:]...) }

// stop stops keeping what is read.
func (t *tape) stop() { t.kept, t.off = nil, true }
