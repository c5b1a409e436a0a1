// Package verdict judges what evidence says of the live patch in an initrd: one pure function over
// the loads and builds in the journal and the image that is there. What takes the evidence is package
// observe; simulated machines give theirs to the same function. What is not proven is unknown, with
// the reason.
package verdict

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// Question is what a verdict is asked for: at the end of the last of the boots.
type Question struct {
	Kernel    string         // release as uname -r says it
	Patch     string         // module name, livepatch_2_150600_13_6_1
	Boots     []journal.Boot // oldest first; the last is the one asked about
	Installed time.Time      // when the patch's package was installed; zero: not known
	Live      *Live          // the machine itself; nil: only the journal is looked at
}

// Live is what only the machine itself shows.
type Live struct {
	Image      string    // the image that the next boot of the kernel uses, links resolved
	Names      []string  // what a build in this system may call it
	Others     []string  // images of snapshots that the next boot may run instead
	NoImage    string    // why there is none; empty: there is one, or that is not known
	ImageTime  time.Time // when it was written last; zero: not known
	Size       int64     // of the image
	ModTime    time.Time // of its content; ImageTime may be later
	SrcVersion string    // of the loaded module, from /sys/module; empty: not known
	BootTime   time.Time
}

// Judge decides from the journal's evidence; the newest wins. Only the last boot counts: what
// its initrd loaded is newer than any build before it, and what it did not load is no proof.
// On the machine a build counts only if it wrote the image that is there. Nothing is concluded
// from the absence of a line.
func Judge(q Question) record.Initrd {
	j := judgement{Initrd: record.Initrd{KernelRelease: q.Kernel, Patch: q.Patch, Evidence: []record.Evidence{}}, q: q}
	switch {
	case q.Live != nil && len(q.Live.Others) > 0 && q.Patch != "":
		for _, image := range q.Live.Others {
			j.add(record.Evidence{Says: "the next boot may run another snapshot, with this image", Path: image})
		}
		return j.unknown(record.ReasonOtherSnapshot)
	case q.Live != nil && q.Live.NoImage != "":
		j.add(record.Evidence{Says: q.Live.NoImage, Path: q.Live.Image})
		j.Verdict, j.Reason = record.VerdictMissing, record.ReasonNoImage
		return j.Initrd
	case q.Patch == "":
		return j.unknown(record.ReasonNoPatch)
	case len(q.Boots) == 0:
		return j.unknown(record.ReasonNoJournal)
	}
	j.boot = q.Boots[len(q.Boots)-1]
	load := lastLoad(j.boot, q.Patch)
	if j.boot.KernelRelease != q.Kernel {
		load = nil // of another kernel's initrd, or of one that is not known
	}
	v := j.decide(load)
	if j.hidden(v) {
		return j.unread()
	}
	return v
}

func (j *judgement) decide(load *record.Load) record.Initrd {
	switch {
	case j.q.Live == nil:
		return j.byJournal(load)
	case !j.q.Live.dated():
		// Whatever was so once, this image may be another one.
		j.add(record.Evidence{Says: "when the image was written is not known", Path: j.q.Live.Image})
		return j.unknown(record.ReasonUnreadable)
	}
	return j.onMachine(load)
}

// hidden says whether a file of the journal that cannot be read may hold what speaks against
// a verdict: a newer build or the load; on the machine, where the image's time rules a newer
// build out, more of what a build said to have packed.
func (j *judgement) hidden(v record.Initrd) bool {
	return len(j.boot.Unread) > 0 && (v.Verdict != record.VerdictContained || j.q.Live == nil)
}

// dated says whether it is known when the image was written: then no build can hide.
func (l *Live) dated() bool { return l != nil && !l.ImageTime.IsZero() }

// judgement is a verdict in the making.
type judgement struct {
	record.Initrd
	q    Question
	boot journal.Boot
}

func (j *judgement) unknown(r record.Reason) record.Initrd {
	j.Verdict, j.Reason = record.VerdictUnknown, r
	return j.Initrd
}

// unread takes back what would follow: a newer build, or the load, may be in a file of the
// journal that could not be read.
func (j *judgement) unread() record.Initrd {
	j.Basis = ""
	for _, u := range j.boot.Unread {
		j.add(record.Evidence{Says: "a file of the journal that may hold more of the boot cannot be read: " + u.Err.Error(), BootID: j.boot.ID, Path: u.Path})
	}
	return j.unknown(record.ReasonJournalUnread)
}

func (j *judgement) proven(v record.Verdict, b record.Basis) record.Initrd {
	j.Verdict, j.Basis = v, b
	return j.Initrd
}

func (j *judgement) add(e ...record.Evidence) { j.Evidence = append(j.Evidence, e...) }

func (j *judgement) addLoad(l *record.Load, says string) {
	j.add(record.Evidence{Says: says, Time: record.AtOrNil(l.Time.Time), BootID: j.boot.ID, Cursor: l.Cursor, Message: journal.Enabling(l.Patch)})
}

func (j *judgement) addBuild(b *journal.Build, says string) {
	j.add(record.Evidence{Says: says, Time: record.AtOrNil(b.Time.Time), BootID: j.boot.ID, Cursor: b.Cursor, Path: b.Image})
	for _, e := range b.Evidence {
		j.add(record.Evidence{Says: "an entry of that build", Time: record.AtOrNil(e.Time), BootID: j.boot.ID, Cursor: e.Cursor, Message: e.Message})
	}
}

// lastLoad is the newest load of a patch in a boot, nil if there is none. One that failed
// says nothing about the patch that is active.
func lastLoad(boot journal.Boot, patch string) *record.Load {
	for i := len(boot.Loads) - 1; i >= 0; i-- {
		if l := &boot.Loads[i]; l.Patch == patch && l.Result != record.LoadFailed {
			return l
		}
	}
	return nil
}

// byLoad decides from what this boot's initrd loaded, where no build of this boot is known to
// have come after.
func (j *judgement) byLoad(load *record.Load) record.Initrd {
	switch {
	case load != nil && load.Phase == record.PhaseInitrd:
		j.addLoad(load, "this boot's initrd loaded the patch (rule "+load.Rule+"), and no later build is on record")
		return j.proven(record.VerdictContained, record.BasisBoot)
	case load != nil && load.Phase == record.PhaseSystem:
		j.addLoad(load, "the patch was loaded after the switch to the real root (rule "+load.Rule+")")
		return j.unknown(record.ReasonNoBuild)
	case load != nil:
		j.addLoad(load, "it cannot be told whether this was in the initrd")
		return j.unknown(record.ReasonPhase)
	case j.boot.MessagesLost:
		return j.unknown(record.ReasonMessagesLost)
	case !j.boot.StartInJournal:
		return j.unknown(record.ReasonBootStart)
	}
	return j.unknown(record.ReasonNoBuild)
}

// byBuild decides from the build that wrote the image, by what it said to have packed.
func (j *judgement) byBuild(b *journal.Build) record.Initrd {
	if b.Source == journal.SourceModules {
		return j.byInference(b)
	}
	i := slices.IndexFunc(b.Packed, func(m journal.Module) bool { return moduleName(m.File) == j.Patch })
	switch {
	case i >= 0 && j.q.Live != nil && differ(j.q.Live.SrcVersion, b.Packed[i].SrcVersion):
		j.addBuild(b, "the build packed a module of that name with another source version than the loaded one")
		return j.proven(record.VerdictMissing, record.BasisBuild)
	case i >= 0:
		j.addBuild(b, "the newest build packed the patch, and ended well")
		return j.proven(record.VerdictContained, record.BasisBuild)
	case b.Partial:
		j.addBuild(b, "the newest build packed more than what is on record")
		return j.unknown(record.ReasonBuildUnconfirmed)
	case len(b.Packed) > 0 || b.None:
		j.addBuild(b, "the newest build said what it packed, and the patch is not among it")
		return j.proven(record.VerdictMissing, record.BasisBuild)
	}
	j.addBuild(b, "the newest build's list names no live patch, which is no proof that there is none")
	return j.unknown(record.ReasonNoBuild)
}

// byInference decides from a build that said only whether it packs live patches at all: it
// packed the files that were there. Which they were is known where the package that brings
// this patch is the one that is installed, and was before.
func (j *judgement) byInference(b *journal.Build) record.Initrd {
	there := j.q.Installed
	switch {
	case !b.LivepatchModule:
		j.addBuild(b, "the newest build did not say that it packs live patches")
		return j.unknown(record.ReasonNoModuleLine)
	case j.q.Live == nil || there.IsZero() || !there.Before(b.Start):
		j.addBuild(b, "the newest build packed live patches; that this one was there before is not on record")
		return j.unknown(record.ReasonBuildBefore)
	}
	j.add(record.Evidence{Says: "the patch's package was installed before", Time: record.AtOrNil(there), BootID: j.boot.ID})
	j.addBuild(b, "the newest build packed the live patches that were there, and ended well")
	return j.proven(record.VerdictContained, record.BasisInferred)
}

// moduleName is the name that the kernel gives to a module file (KBUILD_MODNAME).
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// differ says whether two source versions are both known and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
