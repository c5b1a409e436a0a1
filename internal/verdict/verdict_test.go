package verdict

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

const (
	kernel = "6.4.0-150600.23.42-default"
	patch1 = "livepatch_1_150600_13_3_1"
	patch2 = "livepatch_2_150600_13_6_1"
)

// at is a time in the tests, in minutes after the boot.
func at(minutes int) time.Time {
	return time.Date(2026, 3, 1, 12, minutes, 0, 0, time.UTC)
}

func load(minutes int, patch string, phase record.Phase) record.Load {
	return record.Load{Cursor: "c", Time: record.At(at(minutes)), Patch: patch, Phase: phase, Rule: "R1", Result: record.LoadComplete}
}

// build is a build that takes a minute and succeeds.
func build(minutes int, source journal.Source, files ...string) journal.Build {
	b := journal.Build{
		Build: record.Build{Cursor: "c", Time: record.At(at(minutes + 1)), KernelRelease: kernel, Image: "/boot/initrd-" + kernel, Success: true},
		Start: at(minutes), From: 2 * minutes, To: 2*minutes + 1, Source: source, LivepatchModule: true, Done: at(minutes + 1), Root: journal.RootHere,
	}
	for _, f := range files {
		b.Packed = append(b.Packed, journal.Module{File: f, SrcVersion: "S2"})
	}
	return b
}

// bootOf is a boot of half an hour.
func bootOf(loads []record.Load, builds []journal.Build) journal.Boot {
	b := record.Boot{ID: "b", KernelRelease: kernel, First: record.At(at(0)), Last: record.At(at(30)), StartInJournal: true, Loads: loads}
	return journal.Boot{Boot: b, ImageBuilds: builds}
}

func changed(b journal.Build, change func(*journal.Build)) journal.Build {
	change(&b)
	return b
}

const file2 = "livepatch-2-150600_13_6_1.ko"

// Every combination of evidence has one verdict; the newest evidence wins.
func TestJudge(t *testing.T) {
	inInitrd, later := load(0, patch2, record.PhaseInitrd), load(5, patch2, record.PhaseSystem)
	fails := func(b *journal.Build) { b.Success, b.Done = false, time.Time{} }
	live := func(imageMinutes int) *Live {
		return &Live{Image: "/boot/initrd-" + kernel, ImageTime: at(imageMinutes), BootTime: at(0), SrcVersion: "S2"}
	}
	unread := func(b *journal.Boot) {
		b.Unread = []journal.Unread{{Path: "/j/system.journal", Err: errors.New("damaged")}}
	}
	for name, tt := range map[string]struct {
		loads     []record.Load
		builds    []journal.Build
		change    func(*journal.Boot)
		installed time.Time
		live      *Live
		want      string
	}{
		"loaded in the initrd":                                   {loads: []record.Load{inInitrd}, want: "contained boot"},
		"loaded in the initrd, and the image is older":           {loads: []record.Load{inInitrd}, live: live(-9), want: "contained boot"},
		"a later build without the module":                       {loads: []record.Load{inInitrd}, builds: []journal.Build{build(3, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko")}, want: "missing build"},
		"a later build that packed none":                         {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.None = true })}, want: "missing build"},
		"a later list without any live patch":                    {loads: []record.Load{inInitrd}, builds: []journal.Build{build(3, journal.SourceList)}, want: "unknown no-build-evidence"},
		"a later build without the livepatch module":             {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceModules), func(b *journal.Build) { b.LivepatchModule = false })}, want: "unknown build-without-livepatch-module"},
		"a kdump image built last":                               {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.Image, b.None = "/boot/initrd-"+kernel+"-kdump", true })}, want: "contained boot"},
		"a kdump image elsewhere":                                {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.Image, b.None = "/var/lib/kdump/initrd", true })}, want: "contained boot"},
		"the image of zipl's first stage built last":             {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.Image, b.None = "/boot/zipl/initrd", true })}, want: "contained boot"},
		"another kernel's image built last":                      {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.KernelRelease, b.None = "6.4.0-1-default", true })}, want: "contained boot"},
		"another image of this kernel, on the machine":           {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.Image, b.None = "/tmp/test.img", true })}, live: live(-9), want: "contained boot"},
		"another image of this kernel, by the journal":           {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(3, journal.SourceOwn), func(b *journal.Build) { b.Image, b.None = "/tmp/test.img", true })}, want: "unknown build-unconfirmed"},
		"a build that left no line":                              {loads: []record.Load{inInitrd}, live: live(7), want: "unknown unlogged-build"},
		"a build that left no line after one that did":           {loads: []record.Load{inInitrd}, builds: []journal.Build{build(3, journal.SourceOwn, file2)}, live: live(30), want: "unknown unlogged-build"},
		"an own entry whose build then failed":                   {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), fails)}, want: "unknown build-unconfirmed"},
		"an own entry, the image is older than it":               {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), fails)}, live: live(-9), want: "unknown build-unconfirmed"},
		"an own entry, confirmed by the image":                   {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), fails)}, live: live(8), want: "unknown build-unconfirmed"},
		"an own entry, confirmed by the image of a slow build":   {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), fails)}, live: live(18), want: "unknown build-unconfirmed"},
		"an own entry, and an image long after it":               {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), fails)}, live: live(60), want: "unknown build-unconfirmed"},
		"a list, not told of which system, and an image of then": {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceList, file2), func(b *journal.Build) { b.Root = "" })}, live: live(8), want: "unknown unlogged-build"},
		"a list of this system, and an image of then":            {loads: []record.Load{later}, builds: []journal.Build{build(7, journal.SourceList, file2)}, live: live(8), want: "contained build"},
		"an own entry with another source version":               {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), func(b *journal.Build) { b.Packed[0].SrcVersion = "S9" })}, live: live(8), want: "missing build"},
		"loaded at run time, a build after it":                   {loads: []record.Load{later}, builds: []journal.Build{build(7, journal.SourceModules)}, want: "unknown build-before-load"},
		"loaded at run time, its list after it":                  {loads: []record.Load{later}, builds: []journal.Build{build(7, journal.SourceList, file2)}, want: "contained build"},
		"a build that failed":                                    {loads: []record.Load{later}, builds: []journal.Build{changed(build(7, journal.SourceModules), fails)}, want: "unknown build-failed"},
		"loaded at run time, a build before it":                  {loads: []record.Load{later}, builds: []journal.Build{build(2, journal.SourceModules)}, want: "unknown build-before-load"},
		"installed after the build, loaded after that":           {loads: []record.Load{later}, builds: []journal.Build{build(6, journal.SourceModules)}, installed: at(8), want: "unknown build-before-load"},
		"installed before the build, never loaded":               {builds: []journal.Build{build(6, journal.SourceModules)}, installed: at(1), want: "unknown build-before-load"},
		"never loaded, when it was installed is not known":       {builds: []journal.Build{build(6, journal.SourceModules)}, want: "unknown build-before-load"},
		"loaded at run time, no build":                           {loads: []record.Load{later}, want: "unknown no-build-evidence"},
		"a load that failed is none":                             {loads: []record.Load{{Patch: patch2, Phase: record.PhaseInitrd, Result: record.LoadFailed}}, want: "unknown no-build-evidence"},
		"undecided where it was loaded":                          {loads: []record.Load{load(0, patch2, record.PhaseUnknown)}, want: "unknown phase-undecided"},
		"start of the boot rotated away":                         {change: func(b *journal.Boot) { b.StartInJournal = false }, want: "unknown boot-start-missing"},
		"messages lost":                                          {change: func(b *journal.Boot) { b.StartInJournal, b.MessagesLost = false, true }, want: "unknown kernel-messages-lost"},
		"another patch in the initrd, this one not at all":       {loads: []record.Load{load(0, patch1, record.PhaseInitrd)}, want: "unknown no-build-evidence"},
		"disabled at the end, still in the initrd":               {loads: []record.Load{changedLoad(inInitrd)}, want: "contained boot"},
		"a list of a build elsewhere, the image is older":        {builds: []journal.Build{build(7, journal.SourceList, file2)}, live: live(-9), want: "unknown build-unconfirmed"},
		"a list that the image's time fits":                      {builds: []journal.Build{build(7, journal.SourceList, file2)}, live: live(8), want: "contained build"},
		"a list, when the image was written is not known":        {builds: []journal.Build{build(7, journal.SourceList, file2)}, live: &Live{Image: "/boot/initrd-" + kernel, BootTime: at(0)}, want: "unknown image-unreadable"},
		"a build elsewhere of all that was there":                {loads: []record.Load{later}, builds: []journal.Build{build(7, journal.SourceModules)}, live: live(-9), want: "unknown build-unconfirmed"},
		"a build elsewhere without the livepatch module":         {loads: []record.Load{inInitrd}, builds: []journal.Build{changed(build(7, journal.SourceModules), func(b *journal.Build) { b.LivepatchModule = false })}, live: live(-9), want: "contained boot"},
		"a build of all that was there, the image's time fits":   {loads: []record.Load{later}, builds: []journal.Build{build(7, journal.SourceModules)}, live: live(8), want: "unknown build-before-load"},
		"own entries of a build that ended well":                 {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, live: live(-9), want: "unknown build-unconfirmed"},
		"loaded in the initrd, a file is unread":                 {loads: []record.Load{inInitrd}, change: unread, want: "unknown journal-unreadable"},
		"packed by the newest build, a file is unread":           {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, change: unread, want: "unknown journal-unreadable"},
		"not packed by the newest build, a file is unread":       {builds: []journal.Build{build(7, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko")}, change: unread, want: "unknown journal-unreadable"},
		"nothing seen, a file is unread":                         {change: unread, want: "unknown journal-unreadable"},
		"a file is unread, but no build since the boot can hide": {loads: []record.Load{inInitrd}, change: unread, live: live(-9), want: "contained boot"},
		"a file is unread, and a build left no line":             {loads: []record.Load{inInitrd}, change: unread, live: live(7), want: "unknown journal-unreadable"},
		"a file is unread, and when the image was written":       {loads: []record.Load{inInitrd}, change: unread, live: &Live{Image: "/boot/initrd-" + kernel, BootTime: at(0)}, want: "unknown journal-unreadable"},
		"rotated start, but the load itself is proven (R1)":      {loads: []record.Load{inInitrd}, change: func(b *journal.Boot) { b.StartInJournal = false }, want: "contained boot"},
	} {
		t.Run(name, func(t *testing.T) {
			boot := bootOf(tt.loads, tt.builds)
			if tt.change != nil {
				tt.change(&boot)
			}
			older := journal.Boot{Boot: record.Boot{ID: "a", StartInJournal: true}, ImageBuilds: []journal.Build{build(-60, journal.SourceOwn, file2)}}
			v := Judge(Question{Kernel: kernel, Patch: patch2, Boots: []journal.Boot{older, boot}, Installed: tt.installed, Live: tt.live})
			if got := fmt.Sprintf("%s %s%s", v.Verdict, v.Basis, v.Reason); got != tt.want {
				t.Errorf("got %s, want %s\n%+v", got, tt.want, v.Evidence)
			}
		})
	}
	if v := Judge(Question{Kernel: kernel, Patch: patch2}); v.Reason != record.ReasonNoJournal {
		t.Errorf("without a journal: %+v", v)
	}
}

// On the machine a build matters only if it wrote the image that the machine boots, and what is
// known of one never stands for another.
func TestWhichBuildWroteTheImage(t *testing.T) {
	const image, other = "/boot/initrd-" + kernel, "6.4.0-150600.23.47-default"
	own := func(minutes int, change func(*journal.Build)) journal.Build { // at log level 0
		return changed(build(minutes, journal.SourceOwn, file2), func(b *journal.Build) {
			b.Success, b.Done, b.Time.Time = false, time.Time{}, b.Start
			change(b)
		})
	}
	wrote := func(minutes int, size int64) func(*journal.Build) {
		return func(b *journal.Build) {
			b.Success, b.Done, b.Time.Time = true, at(minutes), at(minutes)
			b.Written = &journal.Written{Size: size, Time: at(minutes)}
		}
	}
	nothing := func(*journal.Build) {}
	in := func(root string) func(*journal.Build) { return func(b *journal.Build) { b.Root = root } }
	first := func(b *journal.Build) { b.Packed[0].File = "livepatch-1-150600_13_3_1.ko" }
	for name, tt := range map[string]struct {
		loads     []record.Load
		builds    []journal.Build
		image     time.Time
		installed time.Time
		change    func(*Live)
		want      string
	}{
		"said that it was written":             {builds: []journal.Build{own(7, wrote(8, 5))}, image: at(8), want: "contained build"},
		"said so of another size":              {builds: []journal.Build{own(7, wrote(8, 6))}, image: at(8), want: "unknown unlogged-build"},
		"said so, and the file changed since":  {builds: []journal.Build{own(7, wrote(8, 5))}, image: at(8).Add(time.Second), want: "unknown unlogged-build"},
		"said so, and its mode changed since":  {builds: []journal.Build{own(7, wrote(8, 5))}, image: at(8).Add(time.Hour), change: func(l *Live) { l.ModTime = at(8) }, want: "contained build"},
		"said so in a chroot, of another file": {builds: []journal.Build{own(7, wrote(8, 5)), changed(own(9, wrote(10, 5)), in("/mnt"))}, image: at(8), want: "contained build"},
		"said so, and then no more":            {builds: []journal.Build{changed(own(7, wrote(8, 5)), first), own(9, nothing)}, image: at(10), want: "unknown build-unconfirmed"},
		"said so, of the first of two builds":  {builds: []journal.Build{own(7, wrote(8, 5)), changed(own(9, nothing), first)}, image: at(8), want: "contained build"},
		"its entry alone":                      {builds: []journal.Build{own(7, nothing)}, image: at(8), want: "unknown build-unconfirmed"},
		"its entry alone, of a chroot":         {builds: []journal.Build{own(7, in("/mnt"))}, image: at(8), want: "unknown unlogged-build"},
		"ended well at that time":              {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8).Add(-time.Second), want: "contained build"},
		"ended well long after that":           {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8).Add(-10 * time.Second), want: "unknown unlogged-build"},
		"ended well before that":               {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8).Add(time.Second), want: "unknown unlogged-build"},
		"ended well in a chroot":               {builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), in("/mnt"))}, image: at(8), want: "unknown unlogged-build"},
		"ended well in a chroot, image older":  {loads: []record.Load{load(0, patch2, record.PhaseInitrd)}, builds: []journal.Build{build(7, journal.SourceOwn, "x.ko")}, image: at(-9), want: "contained boot"},
		"a later one without its entry":        {builds: []journal.Build{build(7, journal.SourceOwn, file2), build(9, journal.SourceModules)}, image: at(10), want: "unknown build-before-load"},
		"a later one that left no line":        {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8).Add(30 * time.Second), want: "unknown unlogged-build"},
		"packed before it was loaded":          {loads: []record.Load{load(9, patch2, record.PhaseSystem)}, builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8), want: "contained build"},
		"for another kernel, into this image":  {builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), func(b *journal.Build) { b.KernelRelease = other })}, image: at(8), want: "unknown build-unconfirmed"},
		"for a kernel that is not told":        {builds: []journal.Build{changed(build(7, journal.SourceList, file2), func(b *journal.Build) { b.KernelRelease = "" })}, image: at(8), want: "unknown build-unconfirmed"},
		"by another name of the image":         {builds: []journal.Build{changed(build(7, journal.SourceOwn, file2), func(b *journal.Build) { b.Image = "/efi/i" })}, image: at(8), change: func(l *Live) { l.Names = []string{"/efi/i"} }, want: "contained build"},
		"of an image that is not booted":       {builds: []journal.Build{build(7, journal.SourceOwn, file2)}, image: at(8), change: func(l *Live) { l.Image = "/efi/initrd-0123" }, want: "unknown unlogged-build"},
		"all that was there":                   {builds: []journal.Build{build(7, journal.SourceModules)}, image: at(8), installed: at(1), want: "contained build-inferred"},
		"all that was there, another package":  {loads: []record.Load{load(0, patch2, record.PhaseInitrd)}, builds: []journal.Build{build(7, journal.SourceModules)}, image: at(8), want: "unknown build-before-load"},
		"some of its entries":                  {builds: []journal.Build{changed(build(7, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko"), func(b *journal.Build) { b.Partial = true })}, image: at(8), want: "unknown build-unconfirmed"},
		"the clock was wrong at the start":     {loads: []record.Load{load(-90, patch2, record.PhaseInitrd)}, image: at(-80), want: "unknown unlogged-build"},
		"there is no image":                    {loads: []record.Load{load(0, patch2, record.PhaseInitrd)}, change: func(l *Live) { l.NoImage = "it is gone" }, want: "missing no-image"},
	} {
		t.Run(name, func(t *testing.T) {
			boot := bootOf(tt.loads, tt.builds)
			if len(tt.loads) > 0 && tt.loads[0].Time.Before(boot.First.Time) {
				boot.First = tt.loads[0].Time
			}
			live := &Live{Image: image, ImageTime: tt.image, ModTime: tt.image, Size: 5, BootTime: at(0), SrcVersion: "S2"}
			if tt.change != nil {
				tt.change(live)
			}
			v := Judge(Question{Kernel: kernel, Patch: patch2, Boots: []journal.Boot{boot}, Installed: tt.installed, Live: live})
			if got := strings.TrimSpace(fmt.Sprintf("%s %s%s", v.Verdict, v.Basis, v.Reason)); got != tt.want {
				t.Errorf("got %s, want %s\n%+v", got, tt.want, v.Evidence)
			}
		})
	}
}

// By a journal alone a build matters only if it is known to be of this system; if that is not
// known, nothing can be concluded, not even from what came before.
func TestBuildsOfOtherSystems(t *testing.T) {
	booted := load(0, patch2, record.PhaseInitrd)
	for name, tt := range map[string]struct {
		change func(*journal.Build)
		want   string
	}{
		"of this system":             {func(b *journal.Build) { b.Root = journal.RootHere }, "missing build"},
		"in no line of dracut's own": {func(b *journal.Build) { b.Silent = true }, "unknown build-unconfirmed"},
		"not said":                   {func(b *journal.Build) { b.Root = "" }, "unknown build-unconfirmed"},
		"in a chroot":                {func(b *journal.Build) { b.Root = "/.snapshots/8/snapshot" }, "contained boot"},
		"perhaps in a chroot":        {func(b *journal.Build) { b.Root = journal.RootUnclear }, "unknown build-unconfirmed"},
		"for a kernel not told":      {func(b *journal.Build) { b.KernelRelease = "" }, "unknown build-unconfirmed"},
		"another kernel's image":     {func(b *journal.Build) { b.KernelRelease, b.Image = "", "/boot/initrd-6.4.0-1-default" }, "contained boot"},
		"an image not told":          {func(b *journal.Build) { b.Image = "" }, "unknown build-unconfirmed"},
		"an image in another place":  {func(b *journal.Build) { b.Image = "/var/tmp/initrd-0" }, "unknown build-unconfirmed"},
		"failed":                     {func(b *journal.Build) { b.Success, b.Failed, b.Done = false, true, time.Time{} }, "unknown build-failed"},
	} {
		b := changed(build(7, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko"), tt.change)
		boot := bootOf([]record.Load{booted}, []journal.Build{b})
		v := Judge(Question{Kernel: kernel, Patch: patch2, Boots: []journal.Boot{boot}})
		if got := fmt.Sprintf("%s %s%s", v.Verdict, v.Basis, v.Reason); got != tt.want {
			t.Errorf("%s: got %s, want %s\n%+v", name, got, tt.want, v.Evidence)
		}
	}
	two := []journal.Build{build(7, journal.SourceOwn, file2), changed(build(7, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko"), func(b *journal.Build) { b.Start = b.Start.Add(time.Second) })}
	two[1].To++
	boot := bootOf(nil, two)
	if v := Judge(Question{Kernel: kernel, Patch: patch2, Boots: []journal.Boot{boot}}); v.Reason != record.ReasonBuildUnconfirmed {
		t.Errorf("two at a time: got %+v", v)
	}
	before := build(20, journal.SourceOwn, "livepatch-1-150600_13_3_1.ko") // then the clock was set back
	before.From, before.To = 12, 13
	boot.ImageBuilds = []journal.Build{before, build(7, journal.SourceOwn, file2)}
	if v := Judge(Question{Kernel: kernel, Patch: patch2, Boots: []journal.Boot{boot}}); v.Verdict != record.VerdictContained {
		t.Errorf("the newest by the journal's order: got %+v", v)
	}
}

func changedLoad(l record.Load) record.Load {
	l.Disabled = new(record.At(at(9)))
	return l
}

func TestJudgeImage(t *testing.T) {
	unknown := record.Initrd{KernelRelease: kernel, Patch: patch2, Verdict: record.VerdictUnknown, Reason: record.ReasonNoBuild, Evidence: []record.Evidence{}}
	with := func(name, release, version string) *initrd.Image {
		return &initrd.Image{Path: "/boot/x", Modules: []initrd.Module{{Path: "p", Name: name, KernelRelease: release, SrcVersion: version, LivePatch: true}}}
	}
	for name, tt := range map[string]struct {
		img  *initrd.Image
		err  error
		want string
	}{
		"holds it":                       {with(patch2, kernel, "S2"), nil, "contained image"},
		"holds it, no source version":    {with(patch2, kernel, ""), nil, "contained image"},
		"holds one of that name":         {with(patch2, kernel, "S9"), nil, "missing image"},
		"holds it for another kernel":    {with(patch2, "6.4.0-1-default", "S2"), nil, "missing image"},
		"holds a file of that name only": {&initrd.Image{Modules: []initrd.Module{{Name: patch2, KernelRelease: kernel}}}, nil, "unknown image-unreadable"},
		"holds an older one":             {with(patch1, kernel, "S1"), nil, "missing image"},
		"holds none":                     {&initrd.Image{}, nil, "missing image"},
		"cannot be read":                 {nil, errors.New("compressed with lz4"), "unknown image-unreadable"},
	} {
		v := judgeImage(unknown, tt.img, tt.err, "S2")
		if got := fmt.Sprintf("%s %s%s", v.Verdict, v.Basis, v.Reason); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
