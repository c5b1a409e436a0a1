package keep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// Prune packs what is kept, and removes what its owner no longer wants.
type Prune struct {
	DB      *pg.DB
	Now     time.Time
	Workers int
	// Before removes bodies of events before a time that their host has removed, too; zero: none.
	Before time.Time
	// Withhold removes the others before that time, as well, except those that a verification needs.
	// The collector signs which.
	Withhold bool
	Key      *proof.Key         // the collector's; nil: it withholds nothing
	Found    func(Pruned) error // is called for each log, by one goroutine at a time
}

// Pruned says what became of a log.
type Pruned struct {
	Log      *pg.Log
	Segments int   // that others took the place of
	Removed  int64 // bodies that the host had removed, too
	Withheld int64 // other bodies
	Err      error
}

// Run prunes logs.
func (p *Prune) Run(ctx context.Context, logs []*pg.Log) error {
	return each(ctx, p.Workers, logs, p.log, p.Found)
}

func (p *Prune) log(ctx context.Context, l *pg.Log) (done Pruned) {
	done.Log = l
	for i := range l.Branches {
		b := &l.Branches[i]
		err := p.remove(ctx, l, b, &done)
		if err == nil {
			err = p.pack(ctx, l, b, &done)
		}
		if err == nil {
			err = p.DB.ThinReceipts(ctx, l.ID, b.Number, month(p.Now))
		}
		if err != nil && !errors.Is(err, pg.ErrMoved) { // then another run does it
			done.Err = fmt.Errorf("branch %d: %w", b.Number, err)
			return done
		}
	}
	return done
}

// month is the start of the month of a time, in UTC.
func month(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// recent is for how long uploads stay as they came: their host may still send the same again, and
// packing each day would write most of them often.
const recent = 7 * 24 * time.Hour

// pack merges small segments that are not recent.
func (p *Prune) pack(ctx context.Context, l *pg.Log, b *pg.Branch, done *Pruned) error {
	var group []pg.Stored
	var events, bytes int64
	flush := func() error {
		old := group
		group, events, bytes = nil, 0, 0
		if len(old) < 2 {
			return nil
		}
		done.Segments += len(old)
		return p.merge(ctx, l, b, old)
	}
	for s, err := range p.DB.Kept(ctx, l.ID, b.Number, b.Since, b.Size) {
		if err != nil {
			return err
		}
		n := s.Last - s.First + 1
		fits := n < segment.Small && s.Received.Before(p.Now.Add(-recent))
		if !fits || events+n > segment.MaxEvents || bytes+s.Bytes > segment.MaxBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if fits {
			group, events, bytes = append(group, *s), events+n, bytes+s.Bytes
		}
	}
	return flush()
}

// merge puts one segment in the place of several.
func (p *Prune) merge(ctx context.Context, l *pg.Log, b *pg.Branch, old []pg.Stored) error {
	list := make([]segment.Segment, len(old))
	for i := range old {
		list[i] = old[i].Segment
	}
	last := old[len(old)-1]
	packed, err := segment.Merge(list)
	if err != nil {
		return err
	}
	return p.DB.Replace(ctx, l.ID, b.Number, old, stored(packed, last.Received), "", nil)
}

func stored(list []segment.Segment, received time.Time) (out []pg.Stored) {
	for _, s := range list {
		out = append(out, pg.Stored{Segment: s, Received: received})
	}
	return out
}

// remove removes bodies that are old enough.
func (p *Prune) remove(ctx context.Context, l *pg.Log, b *pg.Branch, done *Pruned) error {
	if p.Before.IsZero() || b.FirstEvent == nil || !b.FirstEvent.Before(p.Before) {
		return nil
	}
	gone, err := p.prunes(ctx, l, b)
	if err != nil {
		return err
	}
	st, err := p.statement(ctx, l, b)
	if err != nil {
		return err
	}
	for s, err := range p.DB.Kept(ctx, l.ID, b.Number, b.Since, b.Size) {
		if err != nil {
			return err
		}
		entries, err := s.Entries()
		if err != nil {
			return err
		}
		before := done.Removed + done.Withheld
		old, err := p.strip(entries, gone, st, done)
		if err != nil {
			return err
		}
		if done.Removed+done.Withheld > before {
			if err := p.replace(ctx, l, b, s, entries, st); err != nil {
				return err
			}
		}
		if !old {
			return nil // what follows is newer
		}
	}
	return nil
}

// prunes returns the prune event of a branch that goes farthest, nil if there is none.
func (p *Prune) prunes(ctx context.Context, l *pg.Log, b *pg.Branch) (gone *record.Prune, err error) {
	for piece, err := range p.DB.Pieces(ctx, l, b.Number, 0, b.Size) {
		if err != nil {
			return nil, err
		}
		outlines, err := piece.Read()
		if err != nil {
			return nil, err
		}
		for _, o := range outlines {
			if o.Event <= piece.To && o.Prune != nil && (gone == nil || o.Prune.Through >= gone.Through) {
				gone = o.Prune
			}
		}
	}
	return gone, nil
}

// strip removes the bodies that go from entries. It says whether some were old.
func (p *Prune) strip(entries []proof.Entry, gone *record.Prune, st *stated, done *Pruned) (old bool, err error) {
	for i := range entries {
		e := &entries[i]
		if e.Body == nil {
			old = true
			continue
		}
		ev, err := record.DecodeOutline(e.Seq, e.Body)
		if err != nil {
			return false, err
		}
		if !ev.Time.Before(p.Before) {
			continue
		}
		old = true
		switch {
		case gone.Took(e.Seq):
			done.Removed++
		case p.Withhold && ev.Kind != record.KindRecorder && ev.Kind != record.KindPrune:
			st.add(e.Seq)
			done.Withheld++
		default:
			continue
		}
		e.Body = nil
	}
	return old, nil
}

// replace puts a segment without some bodies in the place of another, with the statement of what is
// withheld.
func (p *Prune) replace(ctx context.Context, l *pg.Log, b *pg.Branch, s *pg.Stored, entries []proof.Entry, st *stated) error {
	outlines, err := s.Read()
	if err != nil {
		return err
	}
	packed, err := s.Pack(entries, outlines)
	if err != nil {
		return err
	}
	text, err := st.sign(p.Key, l, b)
	if err != nil {
		return err
	}
	if text != nil {
		text.Stated = p.Now
	}
	err = p.DB.Replace(ctx, l.ID, b.Number, []pg.Stored{*s}, stored(packed, s.Received), st.text, text)
	if err == nil && text != nil {
		st.text = text.Text
	}
	return err
}

// stated is the one statement about a branch: each run adds to what it says.
type stated struct {
	ranges [][2]int64
	text   string // as it is in the database
}

// statement returns what is withheld of a branch so far.
func (p *Prune) statement(ctx context.Context, l *pg.Log, b *pg.Branch) (*stated, error) {
	st := &stated{}
	if !p.Withhold {
		return st, nil
	}
	s, err := p.DB.Withheld(ctx, l.ID, b.Number)
	if err != nil || s == nil {
		return st, err
	}
	if st.ranges, err = readStatement(s.Text, l.Key, b.Number, p.Key.Verifier); err != nil {
		return nil, fmt.Errorf("reading the statement of what is withheld: %w", err)
	}
	st.text = s.Text
	return st, nil
}

// add adds an event, in the order of the log.
func (st *stated) add(seq int64) {
	if last := len(st.ranges) - 1; last >= 0 && st.ranges[last][1] == seq-1 {
		st.ranges[last][1] = seq
		return
	}
	st.ranges = append(st.ranges, [2]int64{seq, seq})
}

// sign returns the statement, nil if nothing is withheld.
func (st *stated) sign(key *proof.Key, l *pg.Log, b *pg.Branch) (*pg.Statement, error) {
	if len(st.ranges) == 0 || key == nil {
		return nil, nil
	}
	text, err := statement(key, l.Key, b.Number, st.ranges)
	s := &pg.Statement{Text: text}
	for _, r := range st.ranges {
		s.Bodies += r[1] - r[0] + 1
	}
	return s, err
}
