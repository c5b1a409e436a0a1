package zyppimport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	// maxCompared bounds what one comparison reads: a year of a busy machine. The next one
	// continues after it.
	maxCompared = 128 << 20
	// maxMissing bounds what a comparison lists, because each one repeats the findings of those
	// before it.
	maxMissing = 50
	maxLost    = 20
	// maxMeanwhile is more events than are ever written while an observation is taken.
	maxMeanwhile = 100
	// maxShift is more than the largest difference between two local times.
	maxShift = 48 * time.Hour
)

// CompareOptions say how a history is compared.
type CompareOptions struct {
	Root       string // of the machine
	Now        time.Time
	Redact     func(string) string // as in Options, and so is NoUserData
	NoUserData bool

	limit int64 // bytes; 0: maxCompared
}

var errDisabled = errors.New("libzypp's history is switched off in zypp.conf")

// Compare compares what libzypp wrote into its history since the last comparison on record, or
// since the recorder was installed, with the record. It looks again for lines that were found
// missing: they may have been imported or found as drift since.
func Compare(ctx context.Context, s *store.Store, o CompareOptions) (*record.HistoryComparison, error) {
	c, err := newComparer(ctx, s, o)
	if err != nil {
		return nil, err
	}
	sources, err := c.sources()
	if err != nil {
		return nil, err
	}
	first, from := c.begin(sources)
	if err := c.prepare(); err != nil {
		return nil, err
	}
	for i := first; i < len(sources) && c.left > 0; i++ {
		if err := c.read(sources[i].path, from); err != nil {
			return nil, err
		}
		from = record.ComparisonMark{}
	}
	if err := errors.Join(c.reader.flush(), ctx.Err()); err != nil {
		return nil, err
	}
	return c.concluded(), nil
}

// comparer compares.
type comparer struct {
	CompareOptions
	ctx      context.Context
	store    *store.Store
	path     string                    // of the history
	last     *record.HistoryComparison // nil: there is none
	event    int64                     // the event that holds it
	anew     bool                      // the search for missing lines starts again
	since    time.Time                 // older lines are ignored; zero: all lines are younger
	result   *record.HistoryComparison
	reader   reader
	raw      []byte // the line at the mark
	left     int64  // bytes that may still be read
	matcher  matcher
	imported *store.Imported             // nil: not needed so far
	done     map[record.HistoryLine]bool // lines, without their places
	broken   []Problem                   // those that matter
	doubtful *Problem                    // one that may be older than the recorder
	before   time.Time                   // the record before that line
}

func newComparer(ctx context.Context, s *store.Store, o CompareOptions) (*comparer, error) {
	history, err := zypp.MarkHistory(o.Root)
	if err == nil && zypp.IsDisabled(history) {
		err = errDisabled
	}
	if err != nil {
		return nil, err
	}
	zone, err := Zone(o.Root, "")
	if err != nil {
		return nil, err
	}
	c := &comparer{CompareOptions: o, ctx: ctx, store: s, path: filepath.Join(o.Root, "/", history.Path), left: o.limit, done: map[record.HistoryLine]bool{}}
	if c.left == 0 {
		c.left = maxCompared
	}
	c.reader = reader{clock: clock{zone: zone}, problem: c.problem, emit: c.take, seen: c.seen}
	now := record.At(o.Now)
	c.result = &record.HistoryComparison{File: history.Path, Since: now, To: now, Missing: []record.MissingChange{}, Lost: []record.LostHistory{}}
	recorders, err := s.Recorders(ctx)
	if err == nil && len(recorders) > 0 {
		c.result.Since = recorders[0].Time
	}
	if err == nil {
		err = c.readLast()
	}
	return c, err
}

// readLast reads the last comparison on record. If that left out missing lines, the new one does
// not continue from it, but searches for all of them again.
func (c *comparer) readLast() error {
	c.result.From = c.result.Since
	part, err := record.PartFrom[record.HistoryComparison](c.store.LastPart(c.ctx, record.PartZyppHistory))
	if err != nil || part == nil {
		return err
	}
	last, err := part.Value()
	if err != nil {
		return fmt.Errorf("event %d: its comparison of libzypp's history: %w", part.Event, err)
	}
	c.event = part.Event
	c.last, c.result.Lost, c.result.From = &last, append(c.result.Lost, last.Lost...), last.To
	return nil
}

// prepare reads what is on record for the time that is compared, and looks again for what was
// missing. Lines that libzypp writes later are not compared with it.
func (c *comparer) prepare() error {
	from := c.result.From.Time
	if c.last != nil && len(c.last.Missing) > 0 && c.last.Missing[0].Time.Before(from) {
		from = c.last.Missing[0].Time.Time
	}
	changes, err := c.store.KnownChanges(c.ctx, from.Add(-maxShift), c.event-maxMeanwhile)
	if err != nil {
		return err
	}
	c.matcher = newMatcher(changes, func(record.KnownChange) bool { return false })
	if c.last == nil || c.anew {
		return nil
	}
	for _, m := range c.last.Missing {
		commit, h := claimOf(&m)
		if err := c.missing(commit, h, m); err != nil {
			return err
		}
	}
	return nil
}

// take looks for the changes of a commit in the record.
func (c *comparer) take(commit *commit) error {
	for _, h := range commit.changes {
		if h.Result != record.ResultOK || h.Time.Before(c.since) {
			continue
		}
		m := record.MissingChange{
			Time: h.Time, UTCOffset: h.UTCOffset, Action: "install", Package: h.Package, Arch: h.Arch, Version: h.Version,
			Command: short(zypp.RedactWith(commit.command, c.Redact)), Line: h.Line,
		}
		if h.removal {
			m.Action = "remove"
		}
		if !c.NoUserData {
			m.UserData = short(commit.userData)
		}
		if err := c.missing(commit, &h, m); err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// claimOf returns the change that a missing line was about.
func claimOf(m *record.MissingChange) (*commit, *change) {
	known := m.Command != "" && !isShort(m.Command) && !isShort(m.UserData)
	c := &commit{known: known, command: m.Command, userData: m.UserData}
	h := &change{at: m.Time.Time, removal: m.Action == "remove"}
	if t, err := time.Parse("-07:00", m.UTCOffset); err == nil {
		h.at = m.Time.In(t.Location())
	}
	h.Time, h.Package, h.Arch, h.Version, h.Line = m.Time, m.Package, m.Arch, m.Version, m.Line
	return c, h
}

// short is the beginning of a text of any length.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + more
}

func isShort(text string) bool { return len(text) > len(more) && strings.HasSuffix(text, more) }

const (
	maxText = 1000
	more    = "…"
)

// missing lists a change unless it is on record.
func (c *comparer) missing(commit *commit, h *change, m record.MissingChange) (err error) {
	line := record.HistoryLine{SHA256: m.Line.SHA256, Copy: m.Line.Copy}
	if c.done[line] {
		return nil // from a copy of a file
	}
	c.done[line] = true
	if _, ok := c.matcher.find(commit, h); ok {
		return nil
	}
	if c.imported == nil {
		if c.imported, err = c.store.Imported(c.ctx); err != nil {
			return err
		}
	}
	if c.imported.Has(m.Line) || c.imported.Pruned(m.Time.Time) {
		return nil
	}
	if c.result.Missing = append(c.result.Missing, m); len(c.result.Missing) > maxMissing {
		c.result.Missing = c.result.Missing[1:]
		c.result.More++
	}
	return nil
}

// lose notes that the time since the last comparison is not completely known.
func (c *comparer) lose(why string) {
	from := c.result.Since
	if c.last != nil {
		from = c.last.To
	}
	lost := c.result.Lost
	if n := len(lost); n > 0 && lost[n-1].Why == why {
		lost[n-1].To = c.result.To
		return
	}
	if len(lost) == maxLost {
		lost[1].From = lost[0].From
		lost = lost[1:]
	}
	c.result.Lost = append(lost, record.LostHistory{From: from, To: c.result.To, Why: why})
}

// concluded is the result of the comparison.
func (c *comparer) concluded() *record.HistoryComparison {
	if c.settle(); c.doubtful != nil {
		c.broken = append(c.broken, *c.doubtful)
	}
	switch n := len(c.broken); {
	case n == 1:
		c.lose(c.broken[0].Error())
	case n > 1:
		c.lose(fmt.Sprintf("%v; and more that cannot be read", c.broken[0]))
	}
	if m := c.result.Mark; m != nil && m.SHA256 == "" {
		m.SHA256 = digest(c.raw)
	}
	c.result.Behind = c.left <= 0
	return c.result
}

func digest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
