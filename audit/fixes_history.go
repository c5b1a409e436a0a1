package audit

import (
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// setting is what is known of the machine at the moment of a record of fixes, whatever the package.
type setting struct {
	spans     []ranSpan        // of the whole timeline
	from      record.Timestamp // of what was before, only a part is known
	newest    *KernelSpan      // the newest boot; nil: none is on record
	goesOn    bool             // the record, after the moment: what it does not know of that is not known
	state     *State           // what is installed, if the record goes on; else nil
	snapshots bool             // the root directory is in a btrfs snapshot, or may be
	looked    *Seen            // at what is installed, last; nil: nobody looked
	unread    *Seen            // a newer look that could not tell; nil: none
	blind     *record.Observed // the newest observation, if it could not read live patches; else nil
	stepped   time.Time        // when the journal of the newest boot says last that something changed; zero: it does not
}

// ranSpan is what is known of live patches in a span, and the boot that it is of.
type ranSpan struct {
	PatchSpan
	boot  KernelSpan       // without an id: it was off, or that is not known
	known record.Timestamp // since when that is known, though the clock was set in its boot: its beginning, or later
}

// patchHistory is a live patch package: its versions on record, and when which was active.
type patchHistory struct {
	*setting
	name     string
	kernel   string
	versions map[string]*patchVersion
	modules  map[string]string // versions by the modules that they hold
	changes  []patchChange
	kept     []*record.Timestamp // for each span, when an initrd is first proven to hold its live patch
	reach    *[2]int             // the first span of the kernel, and the one after its last; nil: not looked for yet
}

// ofKernel is where the spans of the kernel are: from one of them up to another one.
func (p *patchHistory) ofKernel() (from, to int) {
	if p.reach == nil {
		is := func(s ranSpan) bool { return s.boot.KernelRelease == p.kernel }
		p.reach = &[2]int{}
		if first := slices.IndexFunc(p.spans, is); first >= 0 {
			last := len(p.spans)
			for !is(p.spans[last-1]) {
				last--
			}
			p.reach = &[2]int{first, last}
		}
	}
	return p.reach[0], p.reach[1]
}

// patchChange is a change of a live patch package.
type patchChange struct {
	record.PatchChange
	elsewhere bool // it may have been made in another btrfs snapshot than the one that ran
}

func newPatchHistory(name string, on *setting) *patchHistory {
	kernel, _ := livepatch.KernelFor(name)
	return &patchHistory{setting: on, name: name, kernel: kernel, versions: map[string]*patchVersion{}, modules: map[string]string{}}
}

// present says whether the machine had a version of the package, or was about to.
func (p *patchHistory) present() bool {
	for _, v := range p.versions {
		if v.present {
			return true
		}
	}
	return false
}

// goneBefore says whether the package was removed before a moment, and was not there since.
func (p *patchHistory) goneBefore(at time.Time) bool {
	if len(p.changes) == 0 {
		return false
	}
	last := p.changes[len(p.changes)-1]
	return last.Action == record.ActionRemove && last.Result == record.ResultOK && !last.elsewhere && last.Time.Before(at)
}

// version is what is known of a version.
func (p *patchHistory) version(version string) *patchVersion {
	v := p.versions[version]
	if v == nil {
		v = &patchVersion{version: version, number: PatchNumberOf(version), fixes: map[string]bool{}}
		p.versions[version] = v
	}
	return v
}

// sides are the versions that a change took away and brought, nil where there is none.
func (p *patchHistory) sides(c record.PatchChange) (before, after *patchVersion) {
	if c.Action == record.ActionRemove {
		return p.version(c.Version), nil
	}
	if c.Previous != "" {
		before = p.version(c.Previous)
	}
	return before, p.version(c.Version)
}

// patchVersion is one version of a live patch package.
type patchVersion struct {
	version string
	number  int             // of the live patch; 0: not known
	fixes   map[string]bool // whether it fixes a CVE, as far as the record says
	all     bool            // these are all that it fixes

	present   bool              // the machine had it, or was about to
	active    *record.Timestamp // seen active, its load complete, first; null: not up to the moment
	seen      record.Timestamp  // by an observation or a change, first
	installed *record.Timestamp // by a commit on record, first; null: it was there before, or an import does not tell where
	built     *record.Timestamp
	issued    *record.Timestamp // of its advisory
	onDay     bool              // no more than its day is known
	advisory  *string
	severity  *string
	event     int64
}

// saw notes that the machine had a version, or was about to.
func (v *patchVersion) saw(at record.Timestamp, event int64) {
	if !v.present || at.Before(v.seen.Time) {
		v.seen = at
	}
	if !v.present {
		v.present, v.event = true, event
	}
}

// since is from when on the version is on record.
func (v *patchVersion) since() time.Time {
	if v.installed != nil {
		return v.installed.Time
	}
	return v.seen.Time
}

// active is from when on the live patch of a span protects: it may have been seen later only.
func active(s PatchSpan) record.Timestamp {
	if s.Completed != nil {
		return earlier(*s.Completed, s.From)
	}
	return s.From
}

// install is a stretch of time in which a version of a package was installed.
type install struct {
	*patchVersion
	from, to record.Timestamp
	unsure   bool  // it may be gone: what became of a change is not known
	event    int64 // that shows it
}

// installs are when versions of the package were installed, up to a moment, in the order of time.
func (p *patchHistory) installs(until record.Timestamp) (list []install) {
	for _, name := range slices.Sorted(maps.Keys(p.versions)) {
		if v := p.versions[name]; v.present && v.installed == nil { // it was there before, or came in another snapshot
			if from, event := p.ran(v); event > 0 {
				list = append(list, install{v, from, until, false, event})
			}
		}
	}
	for _, c := range p.changes {
		before, after := p.sides(c.PatchChange)
		certain := c.Result == record.ResultOK && !c.elsewhere
		goesOn := false
		for i, in := range list {
			switch open := in.to.Equal(until.Time) && in.from.Before(c.Time.Time); {
			case !open:
			case !certain:
				list[i].to = c.Time
				list = append(list, install{in.patchVersion, c.Time, until, true, c.Event})
			case in.patchVersion == after && (before == after || c.Source == record.SourceDrift): // installed again, or found late
				goesOn = true
			default:
				list[i].to, list[i].unsure = c.Time, in.unsure || in.patchVersion != before // else it had gone before, unseen
			}
		}
		if certain && after != nil && !goesOn {
			list = append(list, install{after, c.Time, until, false, c.Event})
		}
	}
	slices.SortStableFunc(list, func(a, b install) int { return a.from.Compare(b.from.Time) })
	return list
}

// ran is when a version is first known to have been active, and the event that shows it; 0: it is not known to have been.
func (p *patchHistory) ran(v *patchVersion) (from record.Timestamp, event int64) {
	for _, s := range p.spans {
		if s.Module != "" && s.Confidence != Unknown && s.boot.KernelRelease == p.kernel && p.versionOf(s.Module) == v.version {
			return s.From, s.Events[0]
		}
	}
	return from, 0
}
