package plugin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/tracked"
)

// maxStep bounds the JSON text of one step; libzypp's steps have about 120 bytes.
const maxStep = 64 << 10

var errStepList = errors.New("step list")

// listed is a step as libzypp writes it.
type listed struct {
	Type     string `json:"type"`  // "+", "-", "M"
	Stage    string `json:"stage"` // at COMMITEND: "ok", "err", or empty: not executed
	Solvable struct {
		Name    string `json:"n"`
		Epoch   int    `json:"e"`
		Version string `json:"v"`
		Release string `json:"r"`
		Arch    string `json:"a"`
	} `json:"solvable"`
}

func (l *listed) step() recorder.Step {
	s := &l.Solvable
	evr := rpmversion.EVR{Epoch: s.Epoch, Version: s.Version, Release: s.Release}
	return recorder.Step{Type: l.Type, Stage: l.Stage, Name: s.Name, EVR: evr, Arch: s.Arch}
}

// trackedSteps reads a body of COMMITBEGIN or COMMITEND and returns the steps on tracked packages.
// An error means that the whole list cannot be understood; the steps returned with it are still
// right. A list that certainly names no tracked package has no such steps, whatever else is wrong
// with it: package front uses the same rule, and starts no recorder for it.
func trackedSteps(r io.Reader) ([]recorder.Step, error) {
	var list tracked.List
	r = io.TeeReader(r, &list)
	steps, problem := decodeTracked(r)
	if problem == nil {
		return steps, nil
	}
	if _, err := io.Copy(io.Discard, r); err == nil && list.Nothing() {
		return nil, nil
	}
	return steps, problem
}

// decodeTracked reads a step list as a stream: it decodes and keeps only the steps on tracked
// packages.
func decodeTracked(r io.Reader) (steps []recorder.Step, problem error) {
	s := stepScanner{r: bufio.NewReaderSize(r, 64<<10)}
	for {
		raw, err := s.next()
		if err == io.EOF {
			return steps, problem
		} else if err != nil {
			return steps, fmt.Errorf("%w: %w", errStepList, err)
		}
		if !tracked.MayName(raw) {
			continue
		}
		var l listed
		err = json.Unmarshal(raw, &l)
		switch {
		case err != nil && maybeTracked(raw):
			problem = fmt.Errorf("%w: step %d: %w", errStepList, s.count, err)
		case err == nil && snapshot.Tracked(l.Solvable.Name):
			steps = append(steps, l.step())
		}
	}
}

// maybeTracked says whether a step that cannot be decoded may concern a tracked package: its name
// says so, or cannot be read either.
func maybeTracked(raw []byte) bool {
	var named struct {
		Solvable struct {
			Name string `json:"n"`
		} `json:"solvable"`
	}
	return json.Unmarshal(raw, &named) != nil || snapshot.Tracked(named.Solvable.Name)
}

// stepScanner cuts {"TransactionStepList": [{…}, {…}]} into the texts of its steps. All it knows
// about JSON is strings and nesting, which is enough.
type stepScanner struct {
	r      *bufio.Reader
	count  int
	depth  int
	closed bool
	buf    []byte
}

// next returns the text of the next step, valid until the next call.
func (s *stepScanner) next() ([]byte, error) {
	s.buf = s.buf[:0]
	inString, escaped := false, false
	for {
		b, err := s.r.ReadByte()
		if err == io.EOF && (s.depth > 0 || inString || !s.closed) {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		if s.depth > 2 || b == '{' && s.depth == 2 {
			if s.buf = append(s.buf, b); len(s.buf) > maxStep {
				return nil, fmt.Errorf("step %d is longer than %d bytes", s.count+1, maxStep)
			}
		}
		switch {
		case inString:
			inString = b != '"' || escaped
			escaped = b == '\\' && !escaped
		case b == '"':
			inString = true
		case b == '{' || b == '[':
			s.depth++
		case b == '}' || b == ']':
			if s.depth--; s.depth == 2 {
				s.count++
				return s.buf, nil
			} else if s.depth < 0 {
				return nil, errors.New("unbalanced brackets")
			}
			s.closed = s.depth == 0
		}
	}
}
