// Package observe looks at the machine and its journal: which live patch is active, and
// whether the initrd that the next boot uses holds it. It composes what the other internal
// packages see. What cannot be proven is unknown, with the reason.
package observe

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/store"
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
	ImageTime  time.Time // when it was written last; zero: not known
	SrcVersion string    // of the loaded module, from /sys/module; empty: not known
	BootTime   time.Time
}

// Judge decides from the journal's evidence; the newest wins. Only the last boot counts:
// what its initrd loaded is newer than any build before it, and what it did not load is no
// proof. Nothing is concluded from the absence of a line.
func Judge(q Question) store.Initrd {
	j := judgement{Initrd: store.Initrd{KernelRelease: q.Kernel, Patch: q.Patch, Evidence: []store.Evidence{}}, q: q}
	if q.Patch == "" {
		return j.unknown(store.ReasonNoPatch)
	}
	if len(q.Boots) == 0 {
		return j.unknown(store.ReasonNoJournal)
	}
	j.boot = q.Boots[len(q.Boots)-1]
	v := j.decide()
	if q.Live != nil && !q.Live.dated() && v.Verdict != store.VerdictUnknown {
		// Whatever was so once, this image may be another one.
		j.add(store.Evidence{Says: "when the image was written is not known", Path: q.Live.Image})
		j.Basis = ""
		v = j.unknown(store.ReasonUnreadable)
	}
	if len(j.boot.Unread) > 0 && (v.Verdict == store.VerdictUnknown || !q.Live.dated()) {
		return j.unread()
	}
	return v
}

// decide decides from what the journal holds of the boot.
func (j *judgement) decide() store.Initrd {
	q := j.q
	load, build := lastLoad(j.boot, q.Patch), newestBuild(j.boot, q)
	if j.boot.KernelRelease != q.Kernel {
		load = nil // of another kernel's initrd, or of one that is not known
	}
	switch {
	case q.Live != nil && unlogged(q.Live, build):
		j.add(store.Evidence{
			Says: "the image was written after anything that the journal says of a build",
			Time: stamp(q.Live.ImageTime), Path: q.Live.Image,
		})
		return j.unknown(store.ReasonUnloggedBuild)
	case build == nil || load != nil && !build.Time.After(load.Time):
		return j.byBoot(load, build)
	case build.Source == journal.SourceModules:
		return j.byInference(load, build)
	}
	return j.byBuild(build)
}

// dated says whether it is known when the image was written: then no build can hide.
func (l *Live) dated() bool { return l != nil && !l.ImageTime.IsZero() }

// judgement is a verdict in the making.
type judgement struct {
	store.Initrd
	q    Question
	boot journal.Boot
}

func (j *judgement) unknown(r store.Reason) store.Initrd {
	j.Verdict, j.Reason = store.VerdictUnknown, r
	return j.Initrd
}

// unread takes back what would follow: a newer build, or the load, may be in a file of the
// journal that could not be read.
func (j *judgement) unread() store.Initrd {
	j.Basis = ""
	for _, u := range j.boot.Unread {
		j.add(store.Evidence{Says: "a file of the journal that may hold more of the boot cannot be read: " + u.Err.Error(), BootID: j.boot.ID, Path: u.Path})
	}
	return j.unknown(store.ReasonJournalUnread)
}

func (j *judgement) proven(v store.Verdict, b store.Basis) store.Initrd {
	j.Verdict, j.Basis = v, b
	return j.Initrd
}

func (j *judgement) add(e ...store.Evidence) { j.Evidence = append(j.Evidence, e...) }

func (j *judgement) addLoad(l *journal.Load, says string) {
	j.add(store.Evidence{Says: says, Time: stamp(l.Time), BootID: j.boot.ID, Cursor: l.Cursor, Message: l.Message})
}

func (j *judgement) addBuild(b *journal.Build, says string) {
	j.add(store.Evidence{Says: says, Time: stamp(b.Time), BootID: j.boot.ID, Cursor: b.Cursor, Path: b.Image})
	for _, e := range b.Evidence {
		j.add(store.Evidence{Says: "an entry of that build", Time: stamp(e.Time), BootID: j.boot.ID, Cursor: e.Cursor, Message: e.Message})
	}
}

func stamp(t time.Time) *store.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &store.Timestamp{Time: t.UTC()}
}

// lastLoad is the newest load of a patch in a boot, nil if there is none. One that failed
// says nothing about the patch that is active.
func lastLoad(boot journal.Boot, patch string) *journal.Load {
	for i := len(boot.Loads) - 1; i >= 0; i-- {
		if l := &boot.Loads[i]; l.Patch == patch && l.Result != journal.ResultFailed {
			return l
		}
	}
	return nil
}

// newestBuild is the newest build of the image that the next boot of the kernel uses, nil
// if there is none on record.
func newestBuild(boot journal.Boot, q Question) *journal.Build {
	for i := len(boot.Builds) - 1; i >= 0; i-- {
		b := &boot.Builds[i]
		if b.KernelRelease != q.Kernel || isKdump(b.Image) || isFirstStage(b.Image) {
			continue
		}
		if q.Live != nil && b.Image != "" && !sameImage(b.Image, q) {
			continue
		}
		return b
	}
	return nil
}

// isKdump says whether an image is for the crash kernel, which never boots the machine.
func isKdump(image string) bool {
	return strings.Contains(filepath.Base(image), "kdump") || strings.HasPrefix(image, "/var/lib/kdump/")
}

// isFirstStage says whether an image only starts grub on IBM Z, which then starts the kernel
// with its own initrd (grub2-zipl-setup).
func isFirstStage(image string) bool {
	return strings.HasPrefix(filepath.Clean(image), "/boot/zipl/")
}

func sameImage(built string, q Question) bool {
	built = filepath.Clean(built)
	return built == q.Live.Image || built == "/boot/initrd-"+q.Kernel
}

// clockSlack is by how much the time of a file and that of the journal's line about it may
// differ: dracut says that it is done after it wrote the image.
const clockSlack = 2 * time.Second

// buildTime is how long a build may go on behind its entries: dracut resolves, strips and
// compresses after the modules ran that say what is packed.
const buildTime = 15 * time.Minute

// unlogged says whether the image was written in this boot, and after every build that the
// journal knows of. A build that said what it packed, but not that it ended, may be what
// wrote it.
func unlogged(l *Live, build *journal.Build) bool {
	if l.ImageTime.IsZero() || !l.ImageTime.After(l.BootTime) {
		return false
	}
	slack := clockSlack
	if build != nil && build.Source == journal.SourceOwn && !build.Success {
		slack = buildTime
	}
	return build == nil || l.ImageTime.After(build.Time.Add(slack))
}

// byBoot decides from what this boot's initrd loaded; build, if there is one, is older
// than the load.
func (j *judgement) byBoot(load *journal.Load, build *journal.Build) store.Initrd {
	switch {
	case load != nil && load.Phase == journal.PhaseInitrd:
		j.addLoad(load, "this boot's initrd loaded the patch (rule "+load.Rule+"), and no later build is on record")
		return j.proven(store.VerdictContained, store.BasisBoot)
	case load != nil && load.Phase == journal.PhaseSystem && build != nil:
		j.addLoad(load, "the patch was loaded after the switch to the real root (rule "+load.Rule+")")
		j.addBuild(build, "the newest build is older than that")
		return j.unknown(store.ReasonBuildBefore)
	case load != nil && load.Phase == journal.PhaseSystem:
		j.addLoad(load, "the patch was loaded after the switch to the real root (rule "+load.Rule+")")
		return j.unknown(store.ReasonNoBuild)
	case load != nil:
		j.addLoad(load, "it cannot be told whether this was in the initrd")
		return j.unknown(store.ReasonPhase)
	case j.boot.MessagesLost:
		return j.unknown(store.ReasonMessagesLost)
	case !j.boot.StartInJournal:
		return j.unknown(store.ReasonBootStart)
	}
	return j.unknown(store.ReasonNoBuild)
}

// byBuild decides from the newest build, which named the modules that it packed.
func (j *judgement) byBuild(b *journal.Build) store.Initrd {
	if !j.written(b) {
		j.addBuild(b, "the build said what it packed; that it ended well, with this image, is not on record")
		return j.unknown(store.ReasonBuildUnconfirmed)
	}
	i := slices.IndexFunc(b.Modules, func(m journal.Module) bool { return moduleName(m.File) == j.Patch })
	switch {
	case i >= 0 && j.q.Live != nil && differ(j.q.Live.SrcVersion, b.Modules[i].SrcVersion):
		j.addBuild(b, "the build packed a module of that name with another source version than the loaded one")
		return j.proven(store.VerdictMissing, store.BasisBuild)
	case i >= 0:
		j.addBuild(b, "the newest build packed the patch, and ended well")
		return j.proven(store.VerdictContained, store.BasisBuild)
	case len(b.Modules) > 0 || b.None:
		j.addBuild(b, "the newest build said what it packed, and the patch is not among it")
		return j.proven(store.VerdictMissing, store.BasisBuild)
	}
	j.addBuild(b, "the newest build's list names no live patch, which is no proof that there is none")
	return j.unknown(store.ReasonNoBuild)
}

// written says whether a build wrote the image. Lines of dracut alone may be of a build in
// another root file system, which calls its image the same: on the machine the image's time
// must fit, too.
func (j *judgement) written(b *journal.Build) bool {
	if b.Success && (j.q.Live == nil || b.Source == journal.SourceOwn) {
		return true
	}
	return j.imageSince(b.Start)
}

// imageSince says whether the image on this machine was written at or after a moment.
func (j *judgement) imageSince(t time.Time) bool {
	return j.q.Live.dated() && !j.q.Live.ImageTime.Add(clockSlack).Before(t)
}

// byInference decides from the newest build, which said only whether it packs live patches
// at all: it packed this one if its module was there before.
func (j *judgement) byInference(load *journal.Load, b *journal.Build) store.Initrd {
	there, says := j.q.Installed, "the patch's package was installed before"
	if there.IsZero() && load != nil {
		there, says = load.Time, "the patch was loaded before, so its module was there"
	}
	switch {
	case !b.Success:
		j.addBuild(b, "the newest build did not say that it ended well")
		return j.unknown(store.ReasonBuildFailed)
	case !j.written(b):
		j.addBuild(b, "the newest build ended well; that it wrote this machine's image is not on record")
		return j.unknown(store.ReasonBuildUnconfirmed)
	case !b.LivepatchModule:
		j.addBuild(b, "the newest build did not say that it packs live patches")
		return j.unknown(store.ReasonNoModuleLine)
	case there.IsZero() || !there.Before(b.Start):
		j.addBuild(b, "the newest build packed live patches; that this one was there before is not on record")
		return j.unknown(store.ReasonBuildBefore)
	}
	j.add(store.Evidence{Says: says, Time: stamp(there), BootID: j.boot.ID})
	j.addBuild(b, "the newest build packed the live patches that were there, and ended well")
	return j.proven(store.VerdictContained, store.BasisInferred)
}

// moduleName is the name that the kernel gives to a module file (KBUILD_MODNAME).
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// differ says whether two source versions are both known and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
