package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// Outcome says what became of an upload.
type Outcome string

// The outcomes.
const (
	Stored  Outcome = "stored"  // it brought new events
	Known   Outcome = "known"   // it brought nothing new
	Behind  Outcome = "behind"  // it is an earlier state of the log: nothing is wrong with it
	Waiting Outcome = "waiting" // it begins after an event that the collector does not have
	Forked  Outcome = "forked"  // its history is another one: kept as a branch, which does not count
	NewKey  Outcome = "new-key" // a key took over that the key before it did not sign: kept as a branch, which does not count
	Refused Outcome = "refused" // it is wrong in itself, or its log may send nothing
)

// Answer says what became of an upload, to its sender and to the admin.
type Answer struct {
	Outcome  Outcome  `json:"outcome"`
	Log      string   `json:"log,omitempty"` // id; empty: none of this key is known
	Name     string   `json:"name,omitempty"`
	Hostname string   `json:"hostname,omitempty"`
	State    pg.State `json:"state,omitempty"`
	Branch   int      `json:"branch"`             // that the upload belongs to
	Size     int64    `json:"size"`               // events of that branch after the upload
	Since    int64    `json:"since"`              // the upload brings the events after this one …
	Upload   int64    `json:"upload"`             // … up to this one
	New      int64    `json:"new"`                // events that were not known
	Common   *int64   `json:"common,omitempty"`   // of a fork: the last event that both histories are known to share
	Problems []string `json:"problems,omitempty"` // why it was refused, or is a branch
}

// Collector takes uploads.
type Collector struct {
	DB     *pg.DB
	Limits Limits
	Now    func() time.Time
	// Unchecked leaves out the comparison with what is kept, so that a test can show what it finds.
	Unchecked bool
}

// Ingest takes one upload: an export, or a compressed one. An error says that it could not be read,
// or the database not be reached; nothing of it was kept then, or all of it: sending it again is
// always right.
func (c *Collector) Ingest(ctx context.Context, r io.Reader) (*Answer, error) {
	u, err := read(ctx, r, c.Limits)
	if err != nil {
		return nil, err
	}
	var a *Answer
	for range 10 {
		err = pg.Retry(ctx, func() (err error) {
			a, err = c.place(ctx, u)
			return err
		})
		if !errors.Is(err, pg.ErrMoved) {
			break
		}
	}
	return a, err
}

// place finds the log of an upload and does what the upload means for it.
func (c *Collector) place(ctx context.Context, u *upload) (*Answer, error) {
	l, err := c.find(ctx, u)
	if errors.Is(err, pg.ErrNoLog) {
		return c.unknown(ctx, u)
	}
	if err != nil {
		return nil, err
	}
	return c.inLog(ctx, u, l)
}

// find returns the log that an upload is of: that of the key which signed it, of the key that its
// first event names, or of the key that handed over to the one that signed.
func (c *Collector) find(ctx context.Context, u *upload) (*pg.Log, error) {
	keys := []string{u.v.Key}
	for _, k := range u.v.Keys {
		keys = append(keys, k.Key)
	}
	slices.Reverse(keys[1:])
	for _, key := range slices.Compact(keys) {
		l, err := c.DB.ByKey(ctx, key)
		if !errors.Is(err, pg.ErrNoLog) {
			return l, err
		}
	}
	if name := u.v.Predecessor(); name != "" {
		list, err := c.DB.Named(ctx, name)
		if err != nil {
			return nil, err
		}
		return c.continued(ctx, u, list)
	}
	return nil, pg.ErrNoLog
}

// continued returns the log that an upload continues, of several that a key of one name signs:
// anybody may give a key the name of another.
func (c *Collector) continued(ctx context.Context, u *upload, list []*pg.Log) (*pg.Log, error) {
	for _, l := range list {
		if l.Current().Size < u.since {
			continue
		}
		tree, err := c.DB.TreeAt(ctx, l, l.Branch, u.since)
		if err != nil {
			return nil, err
		}
		if slices.Equal(tree, u.begin) {
			return l, nil
		}
	}
	if len(list) == 1 && list[0].Current().Size >= u.since {
		return list[0], nil // another history
	}
	return nil, pg.ErrNoLog
}

// unknown takes an upload of no known log: if it is one from its first event on, the log waits for
// approval from here on.
func (c *Collector) unknown(ctx context.Context, u *upload) (*Answer, error) {
	a := u.answer()
	first := u.v.Keys
	switch {
	case u.since > 0:
		a.Outcome, a.Problems = Waiting, []string{"the collector does not know this log: it needs its export from the first event on"}
		return a, nil
	case !u.v.Sound():
		return u.refused(a), nil
	case len(first) == 0 || first[0].Event != 1:
		a.Outcome, a.Problems = Refused, []string{noFirstKey}
		return a, nil
	}
	if err := c.room(ctx); err != nil {
		return nil, err
	}
	l := pg.NewLog(first[0].Key, pg.Pending, "first upload", c.Now())
	if err := c.DB.Begin(ctx, l); err != nil {
		return nil, err
	}
	l, err := c.DB.ByID(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	return c.inLog(ctx, u, l)
}

// noFirstKey is what is wrong with a log whose first key nobody knows.
const noFirstKey = "its first event names no key"

// room says whether one more log may wait for approval.
func (c *Collector) room(ctx context.Context) error {
	if c.Limits.Pending == 0 {
		return nil
	}
	n, err := c.DB.Count(ctx, pg.Pending)
	if err == nil && n >= c.Limits.Pending {
		err = fmt.Errorf("%w: %d logs wait for approval", ErrTooMuch, n)
	}
	return err
}

// inLog does what an upload means for its log.
func (c *Collector) inLog(ctx context.Context, u *upload, l *pg.Log) (*Answer, error) {
	a := u.answer()
	a.Log, a.Name, a.State, a.Branch = l.ID.String(), l.Name, l.State, l.Branch
	a.Size = l.Current().Size
	if l.State == pg.Retired {
		a.Outcome, a.Problems = Refused, []string{"the log was retired on " + l.StateSince.UTC().Format(time.RFC3339) + ": approve it again if it is to send"}
		return a, nil
	}
	if !u.v.Sound() {
		return u.refused(a), c.keepRefused(ctx, u, l)
	}
	rel, err := c.relate(ctx, u, l)
	if err != nil {
		return nil, err
	}
	a.Branch, a.Size = rel.branch, l.At(rel.branch).Size
	if rel.kind == after {
		a.Outcome, a.Problems = Waiting, []string{fmt.Sprintf("it begins after event %d, the collector has %d", u.since, a.Size)}
		return a, nil
	}
	v, key := u.follow(l, rel)
	if !v.Sound() {
		a.Outcome, a.Problems = Refused, v.Problems
		return a, nil
	}
	rel.key = key
	return c.act(ctx, u, l, rel, v, a)
}

// follow returns the verification of an upload, with what is wrong with the way from the key that
// signed the branch where the upload begins to the one that signed the upload. Of another history, any
// key of the log may have signed its beginning: follow returns which did.
func (u *upload) follow(l *pg.Log, rel relation) (v *proof.Verification, key string) {
	if u.since == 0 {
		v = u.verification()
		switch {
		case v.Keys[0].Event != 1:
			v.Problem(proof.Altered, noFirstKey)
		case !slices.ContainsFunc(v.Keys, func(k record.VerifiedKey) bool { return keysOf(l)[k.Key] }): // a later one may have been enrolled
			v.Problem(proof.Altered, "its first event names the key %q, and no event names %q or another key of the log", v.Keys[0].Key, l.Key)
		}
		return v, ""
	}
	keys := []pg.KeyFrom{{Key: l.At(rel.branch).KeyAt(u.since)}}
	if rel.kind == other {
		keys = append(keys, l.Current().Keys...)
	}
	for i, k := range keys {
		try := u.verification()
		try.Follow(k.Key, u.v.Takeover())
		if try.Sound() && vouched(try, rel.common) {
			return try, k.Key
		}
		if i == 0 {
			v, key = try, k.Key
		}
	}
	return v, key
}

// verification returns a copy of what was found of an upload in itself.
func (u *upload) verification() *proof.Verification {
	v := *u.v.Verification
	v.Problems, v.Keys, v.Told = slices.Clone(v.Problems), slices.Clone(v.Keys), slices.Clone(v.Told)
	return &v
}

// act does what follows from how an upload relates to a branch.
func (c *Collector) act(ctx context.Context, u *upload, l *pg.Log, rel relation, v *proof.Verification, a *Answer) (*Answer, error) {
	b := l.At(rel.branch)
	equal := min(u.size(), b.Size) // up to here, both hold the same events
	if rel.kind == other {
		equal = rel.common
	}
	signed := vouched(v, equal)
	if signed {
		if err := c.fill(ctx, u, l, rel.branch, equal); err != nil {
			return nil, err
		}
	}
	switch {
	case rel.kind == other && !signed:
		a.Outcome, a.Problems = Refused, append(v.Problems, "its history is not the one that is kept, and no key of the log signed it")
		return a, nil
	case rel.kind == other:
		return c.fork(ctx, u, l, rel, v, pg.Forked, a)
	case u.size() <= b.Size:
		a.Outcome = Known
		if u.size() < b.Size {
			a.Outcome = Behind
		}
		return c.branchToo(a, l), c.DB.Heard(ctx, l.ID, rel.branch, u.size(), c.Now())
	case !signed:
		rel.common = b.Size
		a.Problems = v.Problems
		return c.fork(ctx, u, l, rel, v, pg.LostKey, a)
	}
	g, err := c.growth(u, v, b, b.Size)
	if err != nil {
		return nil, err
	}
	a.Outcome, a.Size, a.New = Stored, u.size(), u.size()-b.Size
	return c.branchToo(a, l), c.DB.Grow(ctx, l.ID, rel.branch, g)
}

// vouched says whether each key that took over after a number was signed by the key before it.
func vouched(v *proof.Verification, after int64) bool {
	return !slices.ContainsFunc(v.Keys, func(k record.VerifiedKey) bool { return k.Signed != nil && !*k.Signed && k.Event > after })
}

// branchToo says of an upload to a branch that does not count why that is so.
func (c *Collector) branchToo(a *Answer, l *pg.Log) *Answer {
	b := l.At(a.Branch)
	if a.Branch == l.Branch || a.New == 0 && a.Branch < l.Branch { // what counted earlier may come again
		return a
	}
	a.Common = b.Common
	a.Outcome = Forked
	if b.Cause == pg.LostKey {
		a.Outcome = NewKey
	}
	a.Problems = append(a.Problems, fmt.Sprintf("it continues branch %d, which does not count: branch %d does", a.Branch, l.Branch))
	return a
}

// fork keeps an upload as a branch.
func (c *Collector) fork(ctx context.Context, u *upload, l *pg.Log, rel relation, v *proof.Verification, cause pg.Cause, a *Answer) (*Answer, error) {
	base := l.At(rel.branch)
	since := max(rel.common, u.since)
	begin, err := u.treeAt(since)
	if err != nil {
		return nil, err
	}
	common := rel.common
	b := &pg.Branch{Base: &rel.branch, Common: &common, Since: since, Size: since, Cause: cause, Tree: begin, Key: base.Key, MachineID: base.MachineID, Hostname: base.Hostname}
	for _, k := range base.Keys {
		if k.Event <= since {
			b.Keys = append(b.Keys, k)
		}
	}
	if u.since == since && rel.key != "" && b.KeyAt(since) != rel.key {
		b.Keys = append(b.Keys, pg.KeyFrom{Key: rel.key, Event: since})
	}
	g, err := c.growth(u, v, b, since)
	if err != nil {
		return nil, err
	}
	a.Outcome, a.Common = Forked, &common
	switch {
	case cause == pg.LostKey:
		a.Outcome = NewKey
	case rel.first > common+1:
		a.Problems = append(a.Problems, fmt.Sprintf("its history is not the one that is kept: the last common event is one of %d to %d", common, rel.first-1))
	default:
		a.Problems = append(a.Problems, fmt.Sprintf("its history is not the one that is kept: the last common event is %d", common))
	}
	number, err := c.DB.Fork(ctx, l, b, g)
	a.Branch, a.Size, a.New = number, u.size(), u.size()-since
	return a, err
}

// growth is what an upload adds to a branch that has a size.
func (c *Collector) growth(u *upload, v *proof.Verification, b *pg.Branch, size int64) (*pg.Growth, error) {
	segments, err := u.after(size)
	if err != nil {
		return nil, err
	}
	next := *b
	next.Size, next.Tree, next.Key, next.Checkpoint = u.size(), u.v.Edge().Tree, u.v.Key, u.v.Checkpoint
	next.Keys = slices.Clone(b.Keys)
	g := &pg.Growth{From: size, Segments: segments, Findings: u.findings(size), Received: c.Now(), MaxEvents: c.Limits.DayEvents, MaxBytes: c.Limits.DayBytes}
	for i, k := range v.Keys {
		switch {
		case k.Event <= size || b.KeyAt(k.Event) == k.Key:
			continue
		case k.Signed != nil && *k.Signed:
			g.OtherKeys = append(g.OtherKeys, k.Key)
			if i > 0 { // it signed, too, and the log may be known by the later one
				g.OtherKeys = append(g.OtherKeys, v.Keys[i-1].Key)
			}
		}
		next.Keys = append(next.Keys, pg.KeyFrom{Key: k.Key, Event: k.Event})
	}
	for _, told := range v.Told {
		if told.Event > size {
			g.Findings = append(g.Findings, pg.Finding{Kind: string(told.Cause), First: told.Event, Last: told.Event})
		}
	}
	if u.newest.ID != "" {
		next.MachineID, next.Hostname = u.newest.Host.MachineID, u.newest.Host.Hostname
	}
	next.FirstEvent, next.LastEvent = u.first, u.last
	g.After = next
	return g, nil
}

// keysOf returns the keys that sign the branch of a log that counts, or signed it.
func keysOf(l *pg.Log) map[string]bool {
	keys := map[string]bool{l.Key: true}
	for _, k := range l.Current().Keys {
		keys[k.Key] = true
	}
	return keys
}
