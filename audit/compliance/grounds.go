package compliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// partsSince is how far back a part is looked for that the newest observation has not: not
// every observation has all of them.
const partsSince = 31 * 24 * time.Hour

// maxRows is how many changes of a sort a check looks at.
const maxRows = 1000

// grounds are what the checks stand on, read from the record once.
type grounds struct {
	at, since   time.Time
	profile     *Profile
	summary     *record.Summary                        // of the record as it is
	seen        *seen                                  // the newest observation; nil: none
	verified    *record.Part[record.Verified]          // the newest full verification; nil: none
	compared    *record.Part[record.HistoryComparison] // the newest comparison with libzypp's history; nil: none
	forced      *bool                                  // the active live patch was; nil: not on record
	failed      []*record.HistoryRow                   // not made good
	open        []record.OpenAt
	lowered     []lowered
	drift       []*record.HistoryRow
	attribution record.Attribution
	recorders   []record.RecorderRow
	base        *base // nil: none
	gaps        []audit.Gap
	exposures   []audit.Exposure
	running     string // the kernel that runs at the end; empty: not known
	offers      *audit.Offers
	exceptions  []audit.Exception // that were not ended, expired ones included
}

// base is what should be installed, by a commit or an observation before the newest one.
type base struct {
	event     int64
	what      string // commit, observation
	installed []record.Package
}

func readGrounds(ctx context.Context, s audit.Reader, p *Profile, at time.Time) (*grounds, error) {
	g := &grounds{at: at.UTC(), since: at.UTC().Add(-time.Duration(p.LookBack)), profile: p}
	for _, read := range []func(context.Context, audit.Reader) error{
		g.readRecord, g.readSeen, g.readParts, g.readBase, g.readFailed, g.readLowered, g.readOffers, g.readTimeline,
	} {
		if err := read(ctx, s); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// readRecord reads what is known of the record itself.
func (g *grounds) readRecord(ctx context.Context, s audit.Reader) (err error) {
	if g.summary, err = s.Summarize(ctx); err != nil {
		return err
	}
	if g.recorders, err = s.Recorders(ctx); err != nil {
		return err
	}
	g.recorders = slices.DeleteFunc(g.recorders, func(r record.RecorderRow) bool { return r.Time.After(g.at) })
	if g.open, err = s.CommitsOpenAt(ctx, g.at); err != nil {
		return err
	}
	if g.attribution, err = s.Attribution(ctx, g.since, g.at); err != nil {
		return err
	}
	g.exceptions, err = audit.ReadExceptions(ctx, s, g.at, g.at)
	return err
}

func (g *grounds) readOffers(ctx context.Context, s audit.Reader) (err error) {
	g.offers, err = audit.ReadOffers(ctx, s, g.at)
	return err
}

func (g *grounds) readSeen(ctx context.Context, s audit.Reader) (err error) {
	if g.seen, err = seenAt(ctx, s, g.at); err != nil || g.seen == nil {
		return err
	}
	if lp := g.seen.LivePatch; lp != nil {
		if g.forced = lp.Forced; g.forced == nil {
			g.forced, err = s.Forced(ctx, g.seen.Boot, lp.Module)
		}
	}
	return err
}

// readParts reads the parts that not every observation tries to read. What the newest one tried to
// read, and could not, is unknown.
func (g *grounds) readParts(ctx context.Context, s audit.Reader) (err error) {
	if g.verified, err = newestPart[record.Verified](ctx, s, g); err != nil {
		return err
	}
	if g.seen != nil && g.seen.Unknown[string(record.PartZyppHistory)] != "" {
		return nil
	}
	g.compared, err = newestPart[record.HistoryComparison](ctx, s, g)
	return err
}

// newestPart is a part of the newest observation, or of the last one before it that has it.
func newestPart[T record.PartType](ctx context.Context, s audit.Reader, g *grounds) (*record.Part[T], error) {
	if g.seen != nil {
		if text := g.seen.Parts[record.PartNameOf[T]()]; text != nil {
			return &record.Part[T]{Event: g.seen.Event, Time: g.seen.At, JSON: text}, nil
		}
	}
	return audit.NewestPart[T](ctx, s, g.at.Add(-partsSince), g.at)
}

// readBase finds out what should have been installed when the newest observation was taken.
func (g *grounds) readBase(ctx context.Context, s audit.Reader) error {
	if g.seen == nil {
		return nil
	}
	before, err := seenAt(ctx, s, g.seen.At.Add(-time.Microsecond))
	if err != nil {
		return err
	}
	begin, end, event, err := s.CommitBefore(ctx, g.seen.At.Time)
	switch {
	case err != nil:
		return err
	case end != nil && (before == nil || !before.At.After(end.Time.Time)):
		if begin != nil && begin.Begin.Installed != nil && len(end.End.Problems) == 0 {
			g.base = &base{event, "commit", afterCommit(begin.Begin.Installed, end.End)}
		}
	case before != nil && before.Installed != nil:
		g.base = &base{before.Event, "observation", before.Installed}
	}
	return nil
}

// afterCommit is what is installed after a commit.
func afterCommit(installed []record.Package, end *record.CommitEnd) []record.Package {
	after := slices.Clone(installed)
	for _, c := range end.Changes {
		if c.Result != record.ResultOK || end.Outcome == record.OutcomeStaged {
			continue
		}
		gone := c.Previous
		if c.Action == record.ActionRemove {
			gone = c.Version
		}
		after = slices.DeleteFunc(after, func(p record.Package) bool { return p.Name == c.Package && p.Arch == c.Arch && p.Version == gone })
		if c.Action != record.ActionRemove {
			after = append(after, record.Package{Name: c.Package, Version: c.Version, Arch: c.Arch})
		}
	}
	return after
}

// readFailed reads the changes that did not come to what was wanted, and those of which a
// script failed, and drops what a later change of the same package made good.
func (g *grounds) readFailed(ctx context.Context, s audit.Reader) error {
	good := map[string]time.Time{} // when a package was changed last
	for _, f := range []record.HistoryFilter{
		{Result: record.ResultFailed}, {Result: record.ResultNotDone}, {Result: record.ResultUnknown}, {Scripts: true},
	} {
		rows, err := g.history(ctx, s, f)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if f.Scripts && row.Result != record.ResultOK || !isFailure(row) {
				continue
			}
			if _, asked := good[row.Package]; !asked {
				if good[row.Package], err = s.LastGood(ctx, row.Package, g.at); err != nil {
					return err
				}
			}
			if !good[row.Package].After(row.Time.Time) {
				g.failed = append(g.failed, row)
			}
		}
	}
	return nil
}

// isFailure says whether a change that did not come to what was wanted, or not whole, counts as
// one: it was tried, on the running system.
func isFailure(row *record.HistoryRow) bool {
	o := row.Outcome
	switch {
	case o == nil:
		return row.Result == record.ResultOK // of an import: libzypp's history never says that all went well
	case isElsewhere(row):
		return false
	}
	return row.Result != record.ResultNotDone || *o != record.OutcomeCompleted
}

// isElsewhere says whether a change is in a snapshot that was not booted, or not yet.
func isElsewhere(row *record.HistoryRow) bool {
	return row.Outcome != nil && row.Outcome.Elsewhere()
}

// history reads changes of the period, newest first.
func (g *grounds) history(ctx context.Context, s audit.Reader, f record.HistoryFilter) (rows []*record.HistoryRow, err error) {
	f.Since, f.Until = g.since, g.at.Add(time.Microsecond)
	if f.Limit == 0 {
		f.Limit = maxRows
	}
	for row, err := range s.History(ctx, f) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// stale says why the state of the machine is not known, empty if it is.
func (g *grounds) stale() string {
	if g.seen == nil {
		return "No observation of the machine is on record."
	}
	if age := g.at.Sub(g.seen.At.Time); age > time.Duration(g.profile.MaxAge) {
		return fmt.Sprintf("The newest observation is %s old, of %s; the profile allows %s.", say.Duration(age), g.seen.At.Short(), g.profile.MaxAge)
	}
	return ""
}

// part reads a part of the newest observation; where that has none the finding says why.
func part[T record.PartType](g *grounds) (v T, f finding, ok bool) {
	name := record.PartNameOf[T]()
	v, known, err := record.ReadPart[T](g.seen.Observation)
	switch {
	case !known:
		return v, g.notKnown(string(name)), false
	case err != nil:
		return v, found(NotDetermined, "The record of %q cannot be read: %v.", name, err).by(g.seen.Event), false
	}
	return v, finding{}, true
}

// partWords are the parts of an observation whose names are no words.
var partWords = map[string]string{
	"clock":    "the clock",
	"files":    "klp-audit's files",
	"gpgcheck": "the setting gpgcheck",
}

// notKnown says why a part of the observation is not there.
func (g *grounds) notKnown(name string) finding {
	part := cmp.Or(partWords[name], strings.ReplaceAll(name, "_", " "))
	if why := g.seen.Unknown[name]; why != "" {
		return found(NotDetermined, "The observation could not tell %s: %s.", part, strings.TrimSuffix(why, "."))
	}
	return found(NotDetermined, "The observation says nothing of %s.", part)
}

// readTimeline reads gaps of the period, and the fixes of the live patches that were installed
// in it. What it reads may begin before the period, but not with the record, which may be long.
func (g *grounds) readTimeline(ctx context.Context, s audit.Reader) error {
	from, _, err := s.Extent(ctx)
	if err != nil || from.IsZero() || !from.Before(g.at) {
		return err
	}
	names, begin, err := g.livePatches(ctx, s)
	if err != nil {
		return fmt.Errorf("reading live patches: %w", err)
	}
	if begin.After(from.Time) {
		from = record.At(begin)
	}
	t, err := audit.NewTimeline(ctx, s, from.Time, g.at.Add(time.Microsecond))
	if err != nil {
		return err
	}
	g.gaps = slices.DeleteFunc(t.Gaps, func(gap audit.Gap) bool { return gap.To.Before(g.since) })
	g.exposures, g.running, err = audit.ExposuresSince(ctx, s, t, names, g.since, g.offers)
	return err
}

// livePatches are the packages that may have been installed at some moment of the period: they
// changed or were seen active in it, or were there at its begin or its end; and that of the kernel that runs. Where what was
// there is not known, these are all. begin is that of the period, or when the first of them
// came.
func (g *grounds) livePatches(ctx context.Context, s audit.Reader) (names []string, begin time.Time, err error) {
	first, err := seenAt(ctx, s, g.since)
	if err != nil {
		return nil, begin, err
	}
	from := g.since
	for _, o := range []*seen{first, g.seen} {
		if o == nil || o.Installed == nil {
			from = time.Time{}
			continue
		}
		names = append(names, o.livePatches()...)
	}
	changed, err := s.LivePatches(ctx, from, g.at)
	if err != nil {
		return nil, begin, err
	}
	names = append(names, changed...)
	if g.seen != nil {
		if name := audit.PatchPackage(g.seen.Kernel.Release); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names, begin = slices.Compact(names), g.since
	for _, name := range names {
		came, err := s.LivePatchBegin(ctx, name)
		if err != nil {
			return nil, begin, err
		}
		if !came.IsZero() && came.Before(begin) {
			begin = came
		}
	}
	return names, begin, nil
}

// noImageOf is the kernel that has no initrd at all, empty if none is known to have none.
func (g *grounds) noImageOf() string {
	if g.stale() != "" || g.seen.Initrd.Reason != record.ReasonNoImage {
		return ""
	}
	return g.seen.Initrd.KernelRelease
}
