package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// Imported is what imports have recorded so far.
type Imported struct {
	events   int64 // how many there were when this was read
	copies   map[string]int
	recorded map[record.RecordedChange]bool // keys without the line
	outcomes map[string]record.Outcome
	sole     map[string]bool
	horizon  time.Time // older lines may have been imported and pruned
}

var errNoImport = errors.New("not an import event")

// Imported returns what imports have recorded so far.
func (s *Store) Imported(ctx context.Context) (*Imported, error) {
	im := &Imported{copies: map[string]int{}, recorded: map[record.RecordedChange]bool{}, outcomes: map[string]record.Outcome{}, sole: map[string]bool{}}
	var err error
	if im.events, err = s.size(ctx); err != nil {
		return nil, sqlite.Classify(err)
	}
	pruned, err := lastPrune(ctx, s.db, im.events)
	if err != nil {
		return nil, err
	}
	if pruned != nil {
		im.horizon = pruned.Horizon.Time
	}
	const query = `SELECT seq, body FROM events WHERE seq <= ? AND json_extract(body, '$.kind') = ? ORDER BY seq`
	var none error
	err = sqlite.EachRow(ctx, s.db, query, []any{im.events, string(record.KindImport)}, func(c *sqlite.Cells) {
		switch i := takeNumbered(c); {
		case c.Err() != nil:
		case i.event.Import == nil:
			c.Enough, none = true, fmt.Errorf("event %d: %w", i.seq, errNoImport)
		default:
			im.Add(i.event.Import)
		}
	})
	return im, errors.Join(err, none)
}

// Add notes what one more import records.
func (im *Imported) Add(i *record.Import) {
	for _, l := range i.Lines {
		im.addLine(l)
	}
	for _, c := range i.Changes {
		im.addLine(c.Line)
	}
	for _, r := range i.Recorded {
		im.addLine(r.Line)
		im.recorded[record.RecordedChange{Event: r.Event, Pos: r.Pos}] = true
	}
	im.outcomes[i.Commit], im.sole[i.Commit] = i.Outcome, i.Sole
}

func (im *Imported) addLine(l record.HistoryLine) {
	im.copies[l.SHA256] = max(im.copies[l.SHA256], l.Copy, 1)
}

// Has says whether a line was imported.
func (im *Imported) Has(l record.HistoryLine) bool { return im.copies[l.SHA256] >= max(l.Copy, 1) }

// Pruned says whether a moment is before what the record still covers: what happened before then is
// not imported again.
func (im *Imported) Pruned(at time.Time) bool { return at.Before(im.horizon) }

// Claimed says whether a line was found for a change on record.
func (im *Imported) Claimed(k record.KnownChange) bool {
	return im.recorded[record.RecordedChange{Event: k.Event, Pos: k.Pos}]
}

// Outcome returns what was last said about the outcome of a commit.
func (im *Imported) Outcome(commit string) record.Outcome { return im.outcomes[commit] }

// Sole says whether, by the last word on it, a commit installed one package and did nothing else.
func (im *Imported) Sole(commit string) bool { return im.sole[commit] }

// AppendImports adds encoded import events, unless somebody else has added an event since Imported was
// called: then it adds nothing, and the error is ErrMoved.
func (s *Store) AppendImports(ctx context.Context, im *Imported, bodies ...[]byte) error {
	size, err := s.appendAt(ctx, im.events, bodies...)
	if err == nil {
		im.events = size
	}
	return err
}

// KnownChanges returns the changes on record that are not from an import, in the order of the log:
// those that were not over before a moment, and all after an event. An announced change is included
// only as long as its commit has no end.
func (s *Store) KnownChanges(ctx context.Context, since time.Time, event int64) (known []record.KnownChange, err error) {
	const query = `SELECT c.event, c.pos, c.source, c.package, c.arch, c.version, c.action = 'remove', c.result = 'ok', c.time,
		c.time_source = 'rpm', coalesce(t.begin_time, 0), coalesce(t.end_time, 0), coalesce(json_extract(e.body, '$.drift.since'), ''),
		coalesce(json_extract(b.body, '$.begin.command'), 'null'), coalesce(t.userdata, ''), c.utc_offset
		FROM changes c JOIN events e ON e.seq = c.event LEFT JOIN commits t ON t.id = c.commit_id LEFT JOIN events b ON b.seq = t.begin_event
		WHERE c.source <> 'import' AND (c.event IS NOT t.begin_event OR t.end_event IS NULL)
		AND (c.source = 'plugin' AND t.end_time IS NULL OR coalesce(t.end_time, c.time) >= ? OR c.event > ?) ORDER BY c.event, c.pos`
	return sqlite.ReadRows(ctx, s.db, query, []any{since.UnixMicro(), event}, knownChange)
}

func knownChange(c *sqlite.Cells) record.KnownChange {
	k := record.KnownChange{
		Event: c.Number(), Pos: int(c.Number()), Source: record.Source(c.Text()), Package: c.Text(), Arch: c.Text(), Version: c.Text(), Removal: c.Yes(), OK: c.Yes(),
	}
	at, exact, begin, end, since := fromMicros(c.Number()), c.Yes(), fromMicros(c.Number()), fromMicros(c.Number()), c.Text()
	k.Command, k.UserData, k.UTCOffset = c.Texts(), c.Text(), c.Text()
	switch {
	case k.Source == record.SourcePlugin:
		k.From, k.To = begin, end
	case exact:
		k.From, k.To = at, at
	default:
		k.From, _ = time.Parse(time.RFC3339, since)
		k.To = at
	}
	return k
}

func fromMicros(us int64) (t time.Time) {
	if us != 0 {
		t = time.UnixMicro(us).UTC()
	}
	return t
}
