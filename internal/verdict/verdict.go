// Package verdict judges the evidence about the live patch in an initrd: it is one pure function
// over the loads and builds in the journal and the existing image. Package observe gathers the
// evidence; simulated machines pass theirs to the same function. Anything not proven is unknown,
// with a reason.
package verdict

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// Question is what a verdict is about: the state at the end of the last of the boots.
type Question struct {
	Kernel    string         // release, as uname -r prints it
	Patch     string         // module name, livepatch_2_150600_13_6_1
	Boots     []journal.Boot // oldest first; the last one is in question
	Installed time.Time      // when the patch's package was installed; zero: not known
	Live      *Live          // the machine itself; nil: only the journal is used
}

// Live is what only the machine itself can show.
type Live struct {
	Image      string    // the image that the next boot of the kernel uses, links resolved
	Names      []string  // what a build on this system may call it
	Others     []string  // images of snapshots that the next boot may run instead
	NoImage    string    // why there is none; empty: there is one, or not known
	ImageTime  time.Time // when it was last written; zero: not known
	Size       int64     // of the image
	ModTime    time.Time // of its content; ImageTime may be later
	SrcVersion string    // of the loaded module, from /sys/module; empty: not known
	BootTime   time.Time
}

// Judge decides from the journal's evidence; the newest wins. Only the last boot matters: what its
// initrd loaded is newer evidence than any build before it, and what it did not load proves
// nothing. On the machine, a build matters only if it wrote the current image. Nothing is concluded
// from a missing line.
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
		load = nil // from another kernel's initrd, or an unknown one
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
		// Whatever was true once, this may be another image.
		j.add(record.Evidence{Says: "when the image was written is not known", Path: j.q.Live.Image})
		return j.unknown(record.ReasonUnreadable)
	}
	return j.onMachine(load)
}

// hidden says whether an unreadable journal file may contain something that contradicts a verdict:
// a newer build or the load; or, on a machine where the image's time rules out a newer build, more
// about what a build packed.
func (j *judgement) hidden(v record.Initrd) bool {
	return len(j.boot.Unread) > 0 && (v.Verdict != record.VerdictContained || j.q.Live == nil)
}

// dated says whether it is known when the image was written: then no build can be hidden.
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

// unread withdraws the verdict: a newer build, or the load, may be in a journal file that could not
// be read.
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

// lastLoad returns the newest load of a patch in a boot, nil if there is none. A load that failed
// says nothing about the active patch.
func lastLoad(boot journal.Boot, patch string) *record.Load {
	for i := len(boot.Loads) - 1; i >= 0; i-- {
		if l := &boot.Loads[i]; l.Patch == patch && l.Result != record.LoadFailed {
			return l
		}
	}
	return nil
}

// byLoad decides by what this boot's initrd loaded, if no build of this boot is known to have come
// later.
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

// byBuild decides by the build that wrote the image: by what it reported as packed.
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

// byInference decides by a build that reported only whether it packs live patches at all: it packed
// the files that were there. Those are known if the package that this patch came from is still
// installed, and was installed before the build.
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

// differ says whether two source versions are both known and different.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
