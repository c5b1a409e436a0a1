package verdict

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// onMachine decides by the build that wrote the current image. If the image was not written since
// the boot, it decides by what the boot loaded from it.
func (j *judgement) onMachine(load *record.Load) record.Initrd {
	builds := ofThisImage(j.boot, j.q)
	if b := j.q.Live.writer(builds); b != nil {
		if b.KernelRelease != j.q.Kernel {
			j.addBuild(b, "the build that wrote the image was for another kernel, or for one that cannot be told")
			return j.unknown(record.ReasonBuildUnconfirmed)
		}
		return j.byBuild(b)
	}
	if j.writtenSinceBoot() {
		return j.unconfirmed(builds)
	}
	v := j.byLoad(load)
	if n := len(builds); n > 0 && v.Verdict == record.VerdictUnknown {
		j.addBuild(&builds[n-1], "this build did not write the image, which is older")
		return j.unknown(record.ReasonBuildUnconfirmed)
	}
	return v
}

// unconfirmed says why the build that wrote the image is not known. A build that did not report its
// end may be the one.
func (j *judgement) unconfirmed(builds []journal.Build) record.Initrd {
	l := j.q.Live
	if n := len(builds); n > 0 && builds[n-1].Done.IsZero() && !builds[n-1].Start.After(l.ImageTime.Add(clockSlack)) {
		return j.ending(&builds[n-1])
	}
	j.add(record.Evidence{Says: "no build on record is known to have written the image", Time: record.AtOrNil(l.ImageTime), Path: l.Image})
	return j.unknown(record.ReasonUnloggedBuild)
}

// ending is the verdict on a build that did not report success.
func (j *judgement) ending(b *journal.Build) record.Initrd {
	if b.Failed || b.Source == journal.SourceModules {
		j.addBuild(b, "the newest build did not say that it ended well")
		return j.unknown(record.ReasonBuildFailed)
	}
	j.addBuild(b, "the build said what it packed; that it ended well, with this image, is not on record")
	return j.unknown(record.ReasonBuildUnconfirmed)
}

// byJournal decides by the newest build on record, provided that it is known, as far as a journal
// alone can tell, to have built the image that the system boots.
func (j *judgement) byJournal(load *record.Load) record.Initrd {
	builds := ofThisSystem(j.boot, j.q.Kernel)
	if len(builds) == 0 {
		return j.byLoad(load)
	}
	newest := &builds[len(builds)-1]
	others := slices.ContainsFunc(builds[:len(builds)-1], func(b journal.Build) bool { return b.To > newest.From })
	switch {
	case !newest.Success:
		return j.ending(newest)
	case others:
		j.addBuild(newest, "another build went on at the same time")
		return j.unknown(record.ReasonBuildUnconfirmed)
	case newest.Silent:
		j.addBuild(newest, "dracut itself left no line of this build, so that a later one without klp-audit's module would have left none at all")
		return j.unknown(record.ReasonBuildUnconfirmed)
	case newest.KernelRelease == "" || newest.Root != journal.RootHere || !bootable(newest.Image):
		j.addBuild(newest, "that the newest build is of the image that this system boots is not on record")
		return j.unknown(record.ReasonBuildUnconfirmed)
	}
	return j.byBuild(newest)
}

// ofThisImage returns the builds that may have written the image on this machine, in the order in
// which they ended.
func ofThisImage(boot journal.Boot, q Question) []journal.Build {
	return ended(boot, func(b journal.Build) bool {
		if b.Image == "" {
			return elsewhere(b) || b.KernelRelease != "" && b.KernelRelease != q.Kernel
		}
		named := path.Clean(b.Image)
		return named != q.Live.Image && !slices.Contains(q.Live.Names, named) || elsewhere(b) && b.Written == nil
	})
}

// ofThisSystem returns the builds of a kernel's image that, by the journal alone, may be the image
// that the system boots.
func ofThisSystem(boot journal.Boot, kernel string) []journal.Build {
	return ended(boot, func(b journal.Build) bool {
		named := journal.ImageRelease(b.Image)
		return elsewhere(b) || isKdump(b.Image) || isFirstStage(b.Image) ||
			b.KernelRelease != "" && b.KernelRelease != kernel || named != "" && !strings.HasPrefix(named, kernel)
	})
}

// ended returns the builds of a boot, without some, in the order in which they ended.
func ended(boot journal.Boot, without func(journal.Build) bool) []journal.Build {
	builds := slices.DeleteFunc(slices.Clone(boot.ImageBuilds), without)
	slices.SortStableFunc(builds, func(a, b journal.Build) int { return cmp.Compare(a.To, b.To) })
	return builds
}

// elsewhere says whether a build is known to be for another root file system.
func elsewhere(b journal.Build) bool {
	return b.Root != "" && b.Root != journal.RootHere && b.Root != journal.RootUnclear
}

// isKdump says whether an image is for the crash kernel, which never boots the machine.
func isKdump(image string) bool {
	return strings.Contains(path.Base(image), "kdump") || strings.HasPrefix(image, "/var/lib/kdump/")
}

// isFirstStage says whether an image only starts grub on IBM Z, which then starts the kernel with
// its own initrd (grub2-zipl-setup).
func isFirstStage(image string) bool {
	return strings.HasPrefix(path.Clean(image), "/boot/zipl/")
}

// bootable says whether an image is where boot loaders look for images. An image built elsewhere
// may be copied there under any name, or never.
func bootable(image string) bool {
	return slices.ContainsFunc([]string{"/boot/", "/efi/", "/lib/modules/", "/usr/lib/modules/"}, func(folder string) bool {
		return strings.HasPrefix(image, folder)
	})
}

// clockSlack is how much older a file may be than the journal's line about it: dracut reports that
// it is done after it wrote the image, and journald may be slow.
const clockSlack = 2 * time.Second

// writer returns the build that wrote the image, nil if not known: the file is still what it was at
// the end of the build, or it was last written when a build of this system reported its end.
func (l *Live) writer(builds []journal.Build) *journal.Build {
	for _, wrote := range []func(journal.Build) bool{l.isOf, l.writtenAtEnd} {
		for i := range slices.Backward(builds) {
			if wrote(builds[i]) {
				return &builds[i]
			}
		}
	}
	return nil
}

func (l *Live) isOf(b journal.Build) bool {
	return b.Written != nil && b.Written.Size == l.Size && b.Written.Time.Equal(l.ModTime.Truncate(time.Microsecond))
}

func (l *Live) writtenAtEnd(b journal.Build) bool {
	return b.Written == nil && b.Success && b.Root == journal.RootHere && !l.ImageTime.After(b.Done) && b.Done.Sub(l.ImageTime) <= clockSlack
}

// writtenSinceBoot says whether the image may have been written in this boot, by the present clock,
// or by the clock at the start if it was set forward since.
func (j *judgement) writtenSinceBoot() bool {
	start, first := j.q.Live.BootTime, j.boot.First.Time
	if first.Before(start) && !j.boot.Last.Before(start) {
		start = first
	}
	return j.q.Live.ImageTime.After(start)
}
