package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// signatures checks that libzypp verifies signatures, and that what is installed has one.
func signatures(g *grounds, c Criteria) finding {
	var part struct {
		GPGCheck bool `json:"gpgcheck"`
		Repos    []struct {
			Alias        string
			RepoGPGCheck bool   `json:"repo_gpgcheck"`
			PkgGPGCheck  string `json:"pkg_gpgcheck"`
		}
	}
	if f, ok := g.part("gpgcheck", &part); !ok {
		return f
	}
	if g.seen.Installed == nil {
		return g.notKnown("installed")
	}
	var odd []string
	if !part.GPGCheck {
		odd = append(odd, "gpgcheck is off in zypp.conf")
	}
	for _, r := range part.Repos {
		if !r.RepoGPGCheck && r.PkgGPGCheck == "no" {
			odd = append(odd, "nothing is checked of repository "+r.Alias)
		}
	}
	for _, p := range g.seen.Installed {
		switch {
		case p.SignatureKey == "":
			odd = append(odd, p.Name+" "+p.Version+" is not signed")
		case len(c.Keys) > 0 && !slices.Contains(c.Keys, p.SignatureKey):
			odd = append(odd, p.Name+" "+p.Version+" is signed with key "+p.SignatureKey+", which the profile does not trust")
		}
	}
	if odd != nil {
		return found(Fail, "%s.", some(odd))
	}
	return found(Pass, "libzypp checks signatures (repositories: %d), and all %s are signed.", len(part.Repos), plural(len(g.seen.Installed), "installed kernel and live patch package"))
}

// some are the first few of a list, and how many more there are.
func some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:few], "; ") + fmt.Sprintf("; and %d more", len(list)-few)
}

// clock checks that the times on record can be relied on.
func clock(g *grounds, c Criteria) finding {
	var part struct {
		Synced   string
		Source   string
		LastSync *record.Timestamp `json:"last_sync"`
		LastFile string            `json:"last_sync_file"`
	}
	if f, ok := g.part("clock", &part); !ok {
		return f
	}
	last := "when it was set last is not on record"
	var age time.Duration
	if part.LastSync != nil {
		age = g.seen.at.Sub(part.LastSync.Time)
		last = "last set at " + shortTime(*part.LastSync) + " (" + part.LastFile + ")"
	}
	switch {
	case part.Synced == "no":
		return found(Fail, "The clock is not synchronised, as %s says; %s.", part.Source, last)
	case part.Synced != "yes":
		return found(NotDetermined, "Whether the clock is synchronised is not known; %s.", last)
	case c.longer(age) != Pass:
		return found(c.longer(age), "The clock counts as synchronised, and was last set more than %s before the observation (%s).", span(age), part.LastFile)
	}
	return found(Pass, "The clock is synchronised, as %s says; %s.", part.Source, last)
}

// mayHave lists the modes that klp-audit's own files may have at most, by how their paths begin; the
// first that fits applies.
var mayHave = []struct {
	path string
	mode uint64
}{
	{"/var/lib/klp-audit/key", 0o700},
	{"/var/lib/klp-audit/spool", 0o700},
	{"/var/lib/klp-audit", 0o750},
	{"/", 0o755},
}

// ownFile is a file of klp-audit's as an observation describes it.
type ownFile struct {
	Path  string
	There bool
	Type  string
	Mode  string
	UID   uint32
}

// permissions checks that only root can change the record and the program, and that not everybody can
// read the record.
func permissions(g *grounds, _ Criteria) finding {
	var files []ownFile
	if f, ok := g.part("files", &files); !ok {
		return f
	}
	var odd []string
	there := 0
	for _, f := range files {
		if !f.There || f.Type == "link" { // a link has no mode of its own
			continue
		}
		there++
		if fault := f.fault(); fault != "" {
			odd = append(odd, f.Path+" "+fault)
		}
	}
	switch {
	case odd != nil:
		return found(Fail, "%s.", some(odd))
	case there == 0:
		return found(NotDetermined, "The observation has seen no file of klp-audit.")
	}
	return found(Pass, "All %s of klp-audit belong to root, with modes that keep others out.", plural(there, "file"))
}

// fault says what is wrong with the owner or the mode, empty if nothing is.
func (f ownFile) fault() string {
	mode, err := strconv.ParseUint(f.Mode, 8, 32)
	if err != nil {
		return fmt.Sprintf("has the mode %q", f.Mode)
	}
	if f.UID != 0 {
		return fmt.Sprintf("belongs to user %d", f.UID)
	}
	for _, may := range mayHave {
		if !strings.HasPrefix(f.Path, may.path) {
			continue
		}
		if more := mode & 0o777 &^ may.mode; more != 0 {
			return fmt.Sprintf("has mode %s, at most %04o is right", f.Mode, may.mode)
		}
		break
	}
	return ""
}

// executable says whether this is a program that can be run.
func (f ownFile) executable() bool {
	mode, err := strconv.ParseUint(f.Mode, 8, 32)
	return f.There && f.Type == "file" && err == nil && mode&0o111 != 0
}

// recorder checks that the recorder is in place, and still reports.
func recorder(g *grounds, _ Criteria) finding {
	const plugin, program = "/usr/lib/zypp/plugins/commit/klp-audit", "/usr/lib/klp-audit/recorder"
	if problem := g.stale(); problem != "" {
		return found(Fail, "%s", problem).by(g.seen.events()...)
	}
	var files []ownFile
	if f, ok := g.part("files", &files); !ok {
		return f.by(g.seen.event)
	}
	i := slices.IndexFunc(files, func(f ownFile) bool { return f.Path == plugin })
	if i < 0 {
		return found(NotDetermined, "The observation says nothing of %s.", plugin).by(g.seen.event)
	}
	switch f := files[i]; {
	case !f.There:
		return found(Fail, "The commit plugin is not installed: %s is not there.", plugin).by(g.seen.event)
	case f.Type != "file":
		return found(Warn, "%s is no regular file, but a %s.", plugin, f.Type).by(g.seen.event)
	case !f.executable():
		return found(Fail, "libzypp cannot run the commit plugin: %s has mode %s.", plugin, f.Mode).by(g.seen.event)
	}
	// Observations of other versions may know of no such program.
	if i = slices.IndexFunc(files, func(f ownFile) bool { return f.Path == program }); i >= 0 && !files[i].executable() {
		return found(Fail, "The commit plugin cannot run %s, and records nothing.", program).by(g.seen.event)
	}
	return found(Pass, "The commit plugin is in place, and the newest observation is from %s.", shortTime(g.seen.at)).by(g.seen.event)
}

func (o *seen) events() []int64 {
	if o == nil {
		return nil
	}
	return []int64{o.event}
}

// entitlement checks that the system is set up to get live patches.
func entitlement(g *grounds, _ Criteria) finding {
	type product struct {
		Name, Version string
		EndOfLife     string `json:"endoflife"`
	}
	var part struct {
		Products, Included  []product
		Patterns, Lifecycle []string
	}
	if f, ok := g.part("activation", &part); !ok {
		return f
	}
	switch {
	case part.Products == nil || part.Patterns == nil || part.Lifecycle == nil:
		return found(NotDetermined, "The observation does not say what product, pattern and lifecycle data are installed.")
	case len(part.Products)+len(part.Patterns)+len(part.Lifecycle) > 0 || g.seen.patched():
	case g.seen.unpatched():
		return found(NotApplicable, "The system has nothing of live patching.")
	case g.seen.Patches == nil:
		return g.notKnown("patches")
	default:
		return g.notKnown("installed")
	}
	var missing []string
	for _, p := range slices.Concat(part.Products, part.Included) {
		if end, err := time.Parse(time.DateOnly, p.EndOfLife); err == nil && end.Before(day(g.at.UTC())) {
			missing = append(missing, "product "+p.Name+" "+p.Version+" ended on "+p.EndOfLife)
		}
	}
	type need struct {
		what string
		has  int
	}
	needs := []need{{"the live patching product", len(part.Products)}, {"its pattern", len(part.Patterns)}, {"the lifecycle data", len(part.Lifecycle)}}
	if len(part.Included) > 0 {
		needs = nil // they have no live patching product, which brings the rest
	}
	for _, need := range needs {
		if need.has == 0 {
			missing = append(missing, need.what+" is not installed")
		}
	}
	switch {
	case missing == nil && len(part.Included) > 0:
		return found(Pass, "Product %s %s has live patches in its own repositories.", part.Included[0].Name, part.Included[0].Version)
	case missing == nil:
		return found(Pass, "Product %s %s, pattern and lifecycle data are installed.", part.Products[0].Name, part.Products[0].Version)
	case len(part.Products) > 0 && !strings.HasPrefix(missing[0], "product"):
		return found(Warn, "%s.", sentence(strings.Join(missing, "; ")))
	}
	return found(Fail, "%s.", sentence(strings.Join(missing, "; ")))
}

// sentence begins with a capital letter.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// journalKept checks that the evidence in the journal outlives a reboot.
func journalKept(g *grounds, _ Criteria) finding {
	var part struct {
		Setting, File, Kept string
		Persistent          bool
	}
	if f, ok := g.part("journal_storage", &part); !ok {
		return f
	}
	set := "Storage=" + part.Setting
	if part.File != "" {
		set += " in " + part.File
	}
	switch {
	case part.Kept != "persistent":
		return found(Fail, "The journal is %s (%s): its evidence is lost with a reboot.", part.Kept, set)
	case !part.Persistent:
		return found(Fail, "The journal should be persistent (%s), and there is none of this machine in /var/log/journal.", set)
	case g.seen.Unknown["journal"] != "":
		return g.notKnown("journal")
	}
	return found(Pass, "The journal is kept over reboots (%s).", set)
}
