package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// KindImport is the kind of events that were taken in from libzypp's history afterwards.
const KindImport EventKind = "import"

// Import is the payload of an import event: what libzypp's history says of one commit, or of
// the part of it that no import before had seen. It is what libzypp claims; nobody looked at
// the rpm database.
type Import struct {
	// Commit follows from the commit's first line (UUIDv8): whoever takes in the rest of it
	// later comes to the same.
	Commit   string    `json:"commit"`
	Time     Timestamp `json:"time"`               // of the commit's first record
	Zone     string    `json:"zone"`               // whose rules local times were read by
	User     string    `json:"user,omitempty"`     // user@host: the effective user, so root whoever became root
	Command  string    `json:"command,omitempty"`  // as the history quotes it, secrets in URLs redacted; empty: not known
	UserData string    `json:"userdata,omitempty"` // as zypper --userdata
	Outcome  Outcome   `json:"outcome,omitempty"`  // failed or aborted, if the history says so; it never says that all went well

	Changes    []ImportedChange `json:"changes"`              // that were not on record
	Recorded   []RecordedChange `json:"recorded,omitempty"`   // that were: the history is further evidence for them
	Advisories []Advisory       `json:"advisories,omitempty"` // all of the commit that are known by now
	Lines      []HistoryLine    `json:"lines,omitempty"`      // the command's, and new ones of advisories
}

// ImportedChange is a change that libzypp's history claims. Its result is ok if libzypp
// wrote it down as done.
type ImportedChange struct {
	Change
	Time      Timestamp   `json:"time"`                 // in seconds
	NotBefore *Timestamp  `json:"not_before,omitempty"` // end of the recorded commit whose lines stand before it, in the same second
	UTCOffset string      `json:"utc_offset"`
	Ambiguous bool        `json:"ambiguous,omitempty"` // the local time may stand for another moment, too, or stands for none
	Requested string      `json:"requested_by,omitempty"`
	Line      HistoryLine `json:"line"`
}

// moment is when the change was: after what the history has before it.
func (c *ImportedChange) moment() Timestamp {
	if c.NotBefore == nil {
		return c.Time
	}
	return notBefore(c.Time, c.NotBefore.Add(time.Microsecond))
}

// RecordedChange is a change on record that a line of libzypp's history is about, too.
type RecordedChange struct {
	Event int64       `json:"event"`
	Pos   int         `json:"pos"` // in that event
	Line  HistoryLine `json:"line"`
}

// HistoryLine is a line of libzypp's history.
type HistoryLine struct {
	File   string `json:"file"`
	Number int    `json:"line"`
	SHA256 string `json:"sha256"` // of its bytes without the newline, 64 hex digits
	// Copy counts the lines with the same bytes in one file; left out of the first.
	Copy int `json:"copy,omitempty"`
}

// applyImport writes the changes of an import into the views. What is taken in later of the
// same commit adds to it; a commit of which all was on record stays as it was recorded.
func applyImport(seq int64, ev *Event) []mutation {
	im := ev.Import
	last := im.Time
	for _, c := range im.Changes {
		if c.Time.After(last.Time) {
			last = c.Time
		}
	}
	var m []mutation
	if len(im.Changes) > 0 {
		m = append(m, mutation{
			query: `INSERT INTO commits (id, end_event, begin_time, end_time, boot_id, command, userdata) VALUES (?, ?, ?, ?, '', ?, ?)
				ON CONFLICT (id) DO UPDATE SET end_time = max(end_time, excluded.end_time)`,
			args: []any{im.Commit, seq, im.Time.UnixMicro(), last.UnixMicro(), orNull(im.Command), orNull(im.UserData)},
		})
	}
	for i, c := range im.Changes {
		from := origin{source: "import", time: c.moment(), timeSource: "history", utcOffset: c.UTCOffset}
		m = append(m, insertChangeFrom(from, seq, i, ev, im.Commit, &c.Change, nil))
	}
	if im.Outcome != "" {
		m = append(m, mutation{query: `UPDATE commits SET outcome = ? WHERE id = ? AND begin_event IS NULL`, args: []any{im.Outcome, im.Commit}})
	}
	if ids := applied(&Change{Result: ResultOK}, im.Advisories); len(ids) > 0 {
		m = append(m, mutation{
			query: `UPDATE changes SET advisories = ? WHERE commit_id = ? AND source = 'import' AND result = 'ok' AND action NOT IN ('remove', 'downgrade')`,
			args:  []any{list(ids), im.Commit},
		})
	}
	return m
}

// Imported is what imports have taken in so far.
type Imported struct {
	events   int64 // in the log when this was read
	copies   map[string]int
	recorded map[RecordedChange]bool // without the line
	outcomes map[string]Outcome
	horizon  time.Time // what is older may have been taken in and pruned
}

var errNoImport = errors.New("not an import event")

// Imported returns what imports have taken in so far.
func (s *Store) Imported(ctx context.Context) (*Imported, error) {
	im := &Imported{copies: map[string]int{}, recorded: map[RecordedChange]bool{}, outcomes: map[string]Outcome{}}
	var err error
	if im.events, err = s.size(ctx); err != nil {
		return nil, classify(err)
	}
	pruned, err := lastPrune(ctx, s.db, im.events)
	if err != nil {
		return nil, err
	}
	if pruned != nil {
		im.horizon = pruned.Horizon.Time
	}
	rows, err := s.db.QueryContext(ctx, `SELECT seq, body FROM events WHERE seq <= ? AND json_extract(body, '$.kind') = ? ORDER BY seq`, im.events, KindImport)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		seq, ev, err := scanEvent(rows)
		if err == nil && ev.Import == nil {
			err = fmt.Errorf("event %d: %w", seq, errNoImport)
		}
		if err != nil {
			return nil, err
		}
		im.Add(ev.Import)
	}
	return im, classify(rows.Err())
}

// Add notes what one more import takes in.
func (im *Imported) Add(i *Import) {
	for _, l := range i.Lines {
		im.addLine(l)
	}
	for _, c := range i.Changes {
		im.addLine(c.Line)
	}
	for _, r := range i.Recorded {
		im.addLine(r.Line)
		im.recorded[RecordedChange{Event: r.Event, Pos: r.Pos}] = true
	}
	im.outcomes[i.Commit] = i.Outcome
}

func (im *Imported) addLine(l HistoryLine) {
	im.copies[l.SHA256] = max(im.copies[l.SHA256], l.Copy, 1)
}

// Has says whether a line was taken in.
func (im *Imported) Has(l HistoryLine) bool { return im.copies[l.SHA256] >= max(l.Copy, 1) }

// Pruned says whether a moment is before what the record still speaks of: what is from then
// does not come back.
func (im *Imported) Pruned(at time.Time) bool { return at.Before(im.horizon) }

// Claimed says whether a line was found for a change on record.
func (im *Imported) Claimed(k KnownChange) bool {
	return im.recorded[RecordedChange{Event: k.Event, Pos: k.Pos}]
}

// Outcome returns what was said of a commit last.
func (im *Imported) Outcome(commit string) Outcome { return im.outcomes[commit] }

// ErrMoved says that others have written to the record since it was read.
var ErrMoved = errors.New("the record has grown meanwhile")

// AppendImports adds import events, if nobody else has added an event since Imported was
// called; else nothing, and the error is ErrMoved.
func (s *Store) AppendImports(ctx context.Context, im *Imported, evs ...*Event) error {
	bodies, err := encodeAll(evs)
	if err != nil {
		return err
	}
	size, err := s.appendAt(ctx, im.events, bodies...)
	if err == nil {
		im.events = size
	}
	return err
}

// KnownChange is a change that was recorded when it was made, or found afterwards.
type KnownChange struct {
	Event                  int64
	Pos                    int
	Source                 string // plugin, drift
	Package, Arch, Version string
	Removal                bool
	OK                     bool // it is what became of it
	// From and To are between which moments it was made: while the commit ran, or between the
	// looks that found it. Zero where that is not known, and To while the commit is open.
	From, To time.Time
	// UTCOffset is that of the local time of whoever wrote the event.
	UTCOffset string
	Command   []string // empty: not known
	UserData  string
}

// KnownChanges returns the changes on record that are not from an import, in the order of the
// log: those that were not over before a moment, and all behind an event. What was announced
// counts only as long as the commit has no end.
func (s *Store) KnownChanges(ctx context.Context, since time.Time, event int64) (known []KnownChange, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT c.event, c.pos, c.source, c.package, c.arch, c.version, c.action = 'remove', c.result = 'ok', c.time,
		c.time_source = 'rpm', coalesce(t.begin_time, 0), coalesce(t.end_time, 0), coalesce(json_extract(e.body, '$.drift.since'), ''),
		coalesce(json_extract(b.body, '$.begin.command'), 'null'), coalesce(t.userdata, ''), c.utc_offset
		FROM changes c JOIN events e ON e.seq = c.event LEFT JOIN commits t ON t.id = c.commit_id LEFT JOIN events b ON b.seq = t.begin_event
		WHERE c.source <> 'import' AND (c.event IS NOT t.begin_event OR t.end_event IS NULL)
		AND (c.source = 'plugin' AND t.end_time IS NULL OR coalesce(t.end_time, c.time) >= ? OR c.event > ?) ORDER BY c.event, c.pos`,
		since.UnixMicro(), event)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k KnownChange
		var at, begin, end int64
		var exact bool
		var since string
		err := rows.Scan(&k.Event, &k.Pos, &k.Source, &k.Package, &k.Arch, &k.Version, &k.Removal, &k.OK, &at, &exact, &begin, &end, &since,
			jsonList{&k.Command}, &k.UserData, &k.UTCOffset)
		if err != nil {
			return nil, err
		}
		switch {
		case k.Source == "plugin":
			k.From, k.To = fromMicros(begin), fromMicros(end)
		case exact:
			k.From, k.To = fromMicros(at), fromMicros(at)
		default:
			k.From, _ = time.Parse(time.RFC3339, since)
			k.To = fromMicros(at)
		}
		known = append(known, k)
	}
	return known, classify(rows.Err())
}

func fromMicros(us int64) (t time.Time) {
	if us != 0 {
		t = time.UnixMicro(us).UTC()
	}
	return t
}
