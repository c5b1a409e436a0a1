package compliance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// signatures checks that libzypp verifies signatures, and that what is installed has one.
func signatures(g *grounds, c Criteria) finding {
	checked, f, ok := part[record.Signatures](g)
	if !ok {
		return f
	}
	if g.seen.Installed == nil {
		return g.notKnown("installed")
	}
	var odd []string
	if !checked.GPGCheck {
		odd = append(odd, "gpgcheck is off in zypp.conf")
	}
	for _, r := range checked.Repos {
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
		return listing(Fail, odd, "%s.")
	}
	return found(Pass, "libzypp checks signatures (repositories: %d), and all %s are signed.", len(checked.Repos), say.Plural(len(g.seen.Installed), "installed kernel and live patch package"))
}

// clock checks that the times on record can be relied on.
func clock(g *grounds, c Criteria) finding {
	step, f, ok := part[record.Clock](g)
	if !ok {
		return f
	}
	last := "when it was set last is not on record"
	var age time.Duration
	if step.LastSync != nil {
		age = g.seen.At.Sub(*step.LastSync)
		last = "last set at " + record.At(*step.LastSync).Short() + " (" + step.LastFile + ")"
	}
	switch {
	case step.Synced == "no":
		return found(Fail, "The clock is not synchronised, as %s says; %s.", step.Source, last)
	case step.Synced != "yes":
		return found(NotDetermined, "Whether the clock is synchronised is not known; %s.", last)
	case c.longer(age) != Pass:
		return found(c.longer(age), "The clock counts as synchronised, and was last set more than %s before the observation (%s).", say.Duration(age), step.LastFile)
	}
	return found(Pass, "The clock is synchronised, as %s says; %s.", step.Source, last)
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

// permissions is that only root can change the record and the program, and not everybody
// can read the record.
func permissions(g *grounds, _ Criteria) finding {
	files, f, ok := part[record.OwnFiles](g)
	if !ok {
		return f
	}
	var odd []string
	there := 0
	for _, f := range files {
		if !f.There || f.Type == "link" { // a link has no mode of its own
			continue
		}
		there++
		if fault := fault(f); fault != "" {
			odd = append(odd, f.Path+" "+fault)
		}
	}
	switch {
	case odd != nil:
		return listing(Fail, odd, "%s.")
	case there == 0:
		return found(NotDetermined, "The observation has seen no file of klp-audit.")
	}
	return found(Pass, "All %s of klp-audit belong to root, with modes that keep others out.", say.Plural(there, "file"))
}

// fault says what is wrong with the owner or the mode, empty if nothing is.
func fault(f record.OwnFile) string {
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
func executable(f record.OwnFile) bool {
	mode, err := strconv.ParseUint(f.Mode, 8, 32)
	return f.There && f.Type == "file" && err == nil && mode&0o111 != 0
}

// recorder checks that the recorder is in place, and still reports.
func recorder(g *grounds, _ Criteria) finding {
	const plugin, program = "/usr/lib/zypp/plugins/commit/klp-audit", "/usr/lib/klp-audit/recorder"
	if problem := g.stale(); problem != "" {
		return found(Fail, "%s", problem).by(g.seen.events()...).toDo("%s", g.observe())
	}
	files, f, ok := part[record.OwnFiles](g)
	if !ok {
		return f.by(g.seen.Event)
	}
	i := slices.IndexFunc(files, func(f record.OwnFile) bool { return f.Path == plugin })
	if i < 0 {
		return found(NotDetermined, "The observation says nothing of %s.", plugin).by(g.seen.Event)
	}
	switch f := files[i]; {
	case !f.There:
		return found(Fail, "The commit plugin is not installed: %s is not there.", plugin).by(g.seen.Event)
	case f.Type != "file":
		return found(Warn, "%s is no regular file, but a %s.", plugin, f.Type).by(g.seen.Event)
	case !executable(f):
		return found(Fail, "libzypp cannot run the commit plugin: %s has mode %s.", plugin, f.Mode).by(g.seen.Event)
	}
	// Observations of other versions may know of no such program.
	if i = slices.IndexFunc(files, func(f record.OwnFile) bool { return f.Path == program }); i >= 0 && !executable(files[i]) {
		return found(Fail, "The commit plugin cannot run %s, and records nothing.", program).by(g.seen.Event)
	}
	return found(Pass, "The commit plugin is in place, and the newest observation is from %s.", g.seen.At.Short()).by(g.seen.Event)
}

// entitlement checks that the system is set up to get live patches.
func entitlement(g *grounds, _ Criteria) finding {
	has, f, ok := part[record.Entitlement](g)
	if !ok {
		return f
	}
	switch {
	case has.Products == nil || has.Patterns == nil || has.Lifecycle == nil:
		return found(NotDetermined, "The observation does not say what product, pattern and lifecycle data are installed.")
	case len(has.Products)+len(has.Patterns)+len(has.Lifecycle) > 0 || g.seen.patched():
	case g.seen.unpatched():
		return found(NotApplicable, "The system has nothing of live patching.")
	case g.seen.Patches == nil:
		return g.notKnown("patches")
	default:
		return g.notKnown("installed")
	}
	var missing []string
	for _, p := range slices.Concat(has.Products, has.Included) {
		if end, err := time.Parse(time.DateOnly, p.EndOfLife); err == nil && end.Before(audit.Day(g.at.UTC())) {
			missing = append(missing, "product "+p.Name+" "+p.Version+" ended on "+p.EndOfLife)
		}
	}
	type need struct {
		what string
		has  int
	}
	needs := []need{{"the live patching product", len(has.Products)}, {"its pattern", len(has.Patterns)}, {"the lifecycle data", len(has.Lifecycle)}}
	if len(has.Included) > 0 {
		needs = nil // they have no live patching product, which brings the rest
	}
	for _, need := range needs {
		if need.has == 0 {
			missing = append(missing, need.what+" is not installed")
		}
	}
	switch {
	case missing == nil && len(has.Included) > 0:
		return found(Pass, "Product %s %s has live patches in its own repositories.", has.Included[0].Name, has.Included[0].Version)
	case missing == nil:
		return found(Pass, "Product %s %s, pattern and lifecycle data are installed.", has.Products[0].Name, has.Products[0].Version)
	case len(has.Products) > 0 && !strings.HasPrefix(missing[0], "product"):
		return found(Warn, "%s.", sentence(strings.Join(missing, "; ")))
	}
	return found(Fail, "%s.", sentence(strings.Join(missing, "; ")))
}

// sentence begins with a capital letter.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// journalKept checks that the evidence in the journal outlives a reboot.
func journalKept(g *grounds, _ Criteria) finding {
	storage, f, ok := part[record.JournalStorage](g)
	if !ok {
		return f
	}
	set := "Storage=" + storage.Setting
	if storage.File != "" {
		set += " in " + storage.File
	}
	switch {
	case storage.Kept != "persistent":
		return found(Fail, "The journal is %s (%s): its evidence is lost with a reboot.", storage.Kept, set)
	case !storage.Persistent:
		return found(Fail, "The journal should be persistent (%s), and there is none of this machine in /var/log/journal.", set)
	case g.seen.Unknown["journal"] != "":
		return g.notKnown("journal")
	}
	return found(Pass, "The journal is kept over reboots (%s).", set)
}
