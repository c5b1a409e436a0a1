package report

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/picture"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// FullSchema names the form of the whole report in JSON.
const FullSchema = "klp-audit/report/2"

// Full is the whole report, the verdict first.
type Full struct {
	Provenance *Provenance
	State      *audit.State
	Compliance *compliance.Summary
	Latency    *audit.Latency
	Exposures  []audit.Exposure
	Timeline   *audit.Timeline
	Marks      []picture.Mark // the downgrades and failures among the history, for the picture
	History    *History
	Integrity  *Integrity
}

// verifiedSince is how far back a full verification is looked for: it is a daily one.
const verifiedSince = 31 * 24 * time.Hour

// NewFull reads the whole report from the record, judged by a profile as of a moment. The
// history says which stretch of time the timeline shows: all on record if it does not. The
// state is the one at that moment, or when the machine was observed last before it.
func NewFull(ctx context.Context, s *store.Store, p *compliance.Profile, at time.Time, h *History) (*Full, error) {
	f := &Full{Provenance: h.Provenance, History: h}
	for _, read := range []func(context.Context, *store.Store) error{
		func(ctx context.Context, s *store.Store) error { return f.readTimeline(ctx, s, at) },
		f.readMarks,
		func(ctx context.Context, s *store.Store) (err error) {
			if f.Compliance, err = compliance.Judge(ctx, s, p, at); err == nil {
				f.Compliance.Distrust(f.Provenance.Input)
			}
			return err
		},
		func(ctx context.Context, s *store.Store) error { return f.readState(ctx, s, at) },
		func(ctx context.Context, s *store.Store) error { return f.readIntegrity(ctx, s, at) },
	} {
		if err := read(ctx, s); err != nil {
			return nil, err
		}
	}
	f.Provenance.Filters["profile"] = p.Name
	for _, g := range f.Timeline.Gaps {
		f.Provenance.Gaps = append(f.Provenance.Gaps, g.Why)
	}
	return f, nil
}

// readTimeline reads fixes from the whole record up to a moment, and the timeline for what
// was asked.
func (f *Full) readTimeline(ctx context.Context, s *store.Store, at time.Time) error {
	t, err := audit.TimelineUntil(ctx, s, at)
	if err != nil {
		return err
	}
	if f.Exposures, err = audit.NewExposures(ctx, s, t, at, nil); err != nil {
		return fmt.Errorf("reading fixes: %w", err)
	}
	if err := audit.ReadInstallations(ctx, s, f.Exposures); err != nil {
		return err
	}
	f.Latency, f.Timeline = audit.Summarize(f.Exposures), t
	from, to := t.From.Time, t.To.Time
	if since := f.History.Filter.Since; since.After(from) {
		from = since
	}
	if until := f.History.Filter.Until; !until.IsZero() && until.Before(to) {
		to = until
	}
	if from.Before(to) && (from != t.From.Time || to != t.To.Time) {
		f.Timeline, err = t.Between(ctx, s, from, to)
	}
	return err
}

// readMarks reads which changes went wrong.
func (f *Full) readMarks(ctx context.Context, s *store.Store) error {
	for _, filter := range []record.HistoryFilter{{Action: record.ActionDowngrade, Result: record.ResultOK}, {Result: record.ResultFailed}} {
		filter.Since, filter.Until, filter.Limit = f.Timeline.From.Time, f.Timeline.To.Time, picture.MaxMarks
		kind := "failed"
		if filter.Action != "" {
			kind = string(filter.Action)
		}
		for row, err := range s.History(ctx, filter) {
			if err != nil {
				return err
			}
			f.Marks = append(f.Marks, picture.Mark{Time: row.Time, Kind: kind, What: row.Named(), Event: row.Event})
		}
	}
	return nil
}

func (f *Full) readState(ctx context.Context, s *store.Store, at time.Time) error {
	last, err := s.LastObserved(ctx)
	if err != nil {
		return err
	}
	if last != nil && last.Before(at) {
		at = last.Time
	}
	f.State, err = f.Timeline.State(ctx, s, at)
	return err
}

func (f *Full) readIntegrity(ctx context.Context, s *store.Store, at time.Time) error {
	sum, err := s.Summarize(ctx)
	if err != nil {
		return err
	}
	f.Integrity = &Integrity{TreeSize: sum.Events, RootHash: sum.RootHash, Key: sum.Key, Checkpoint: sum.Checkpoint}
	if f.Integrity.foundFor(f.Provenance) {
		return nil
	}
	part, err := record.PartFrom[record.Verified](s.NewestPart(ctx, record.PartVerify, at.Add(-verifiedSince), at))
	if part == nil || err != nil {
		return err
	}
	v, err := part.Value()
	if err != nil {
		return fmt.Errorf("event %d: verification: %w", part.Event, err)
	}
	f.Integrity.Verified, f.Integrity.Result = &part.Time, v.Result
	return nil
}

// SectionsAt returns the sections that ask for nothing but a moment.
func SectionsAt() []SectionAt { return []SectionAt{stateAt()} }

// part is a part of the whole report, under a title of its own.
type part struct {
	ID, Title string
	print     func(p *printer, f *Full) // on a terminal; nil: only the page has it
	block     func(f *Full) block       // on the page; nil: its template writes more than a table
}

// parts are those after the verdict, in their order.
func parts() []part {
	return []part{
		{"open", "Open fixes", (*printer).open, nil},
		{"state", "State", (*printer).state, nil},
		{"compliance", "Compliance", (*printer).compliance, nil},
		{"exposure", "Exposure and latency", (*printer).exposures, nil},
		{"history", "History", (*printer).history, nil},
		{"words", "The timeline in words", nil, nil},
		{"gaps", "Recorder gaps", (*printer).gaps, gapsBlock},
		{"integrity", "Integrity", (*printer).integrity, nil},
		{"provenance", "Provenance", (*printer).provenance, nil},
	}
}

func (f *Full) forms() []form {
	return []form{
		{"table", func(w io.Writer, style table.Style) error { return writeFullTable(w, f, style) }},
		{"json", func(w io.Writer, _ table.Style) error { return writeFullJSON(w, f) }},
		{"html", func(w io.Writer, _ table.Style) error { return writeHTML(w, f) }},
	}
}

// writeFullJSON writes each section under its name. The rows of the history are streamed;
// the provenance comes after them, because it counts them.
func writeFullJSON(w io.Writer, f *Full) error {
	head, err := compact(struct {
		Schema     string              `json:"schema"`
		Warning    *string             `json:"warning"`
		Compliance *compliance.Summary `json:"compliance"`
		State      *audit.State        `json:"state"`
		CVE        CVEs                `json:"cve"`
		Timeline   *audit.Timeline     `json:"timeline"`
		Integrity  *Integrity          `json:"integrity"`
	}{FullSchema, record.OrNil(f.Provenance.Warning()), f.Compliance, f.State, CVEs{Exposures: f.Exposures, Latency: f.Latency}, f.Timeline, f.Integrity})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s,\n\"history\":{\"rows\":[", bytes.TrimSuffix(head, []byte("}"))); err != nil {
		return err
	}
	if err := writeRows(w, f.History); err != nil {
		return err
	}
	provenance, err := compact(f.Provenance)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n]},\n\"provenance\":%s}\n", provenance)
	return err
}
