package journal

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"
)

// builds are the image builds of a boot, in the order in which they began.
type builds struct {
	list []*building // dracut's
	own  []*building // of klp-audit's own entries
}

// building is a build being read.
type building struct {
	Build
	stream string // what tells its lines from those of another build at the same time
	pid    string // of the process that wrote klp-audit's own entries
}

// takeDracut takes in a line of dracut, which by logger(1) has no stream.
func (b *builds) takeDracut(f fields, message string) error {
	return b.takeLine(f, cmp.Or(f.get("_STREAM_ID"), f.get("SYSLOG_PID")), plainText(message))
}

// takeKernelLog takes in a line of dracut where there is no journald, such as in a chroot:
// "dracut[1776] text" in the kernel's log.
func (b *builds) takeKernelLog(f fields, message string) error {
	rest, ok := strings.CutPrefix(message, "dracut[")
	if !ok {
		return nil
	}
	stream, text, ok := strings.Cut(rest, "] ")
	if !ok {
		return nil
	}
	return b.takeLine(f, stream, plainText(text))
}

// plainText takes away what dracut puts before its lines on stderr: "dracut: " or, as
// SUSE's does, "dracut[I]: ".
func plainText(message string) string {
	if rest, ok := strings.CutPrefix(message, "dracut: "); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(message, "dracut["); ok {
		if _, text, ok := strings.Cut(rest, "]: "); ok {
			return text
		}
	}
	return message
}

func (b *builds) takeLine(f fields, stream, text string) error {
	line, ok := parseLine(text)
	if !ok {
		return nil
	}
	e, err := f.entry(f.get("MESSAGE"))
	if err != nil {
		return err
	}
	build := b.current(stream)
	if build == nil || line.executes {
		build = &building{Build: Build{Start: e.Time, Source: SourceModules}, stream: stream}
		b.list = append(b.list, build)
	}
	build.Entry = e
	line.applyTo(&build.Build)
	if line.telling() {
		build.Evidence = append(build.Evidence, e)
	}
	return nil
}

// line is what a line of dracut says.
type line struct {
	executes bool   // "Executing: /usr/bin/dracut …": the beginning of a build
	kernel   string // its --kver
	module   string // a dracut module that is included
	file     string // a live patch in the list of files
	release  string // the kernel that the file is for
	image    string // the image that is written
	success  bool   // and was written
}

func parseLine(text string) (l line, ok bool) {
	if args, found := strings.CutPrefix(text, "Executing: "); found {
		return line{executes: true, kernel: kernelArgument(strings.Fields(args))}, true
	}
	if text, found := strings.CutPrefix(text, "*** "); found {
		if l.module, ok = quoted(text, "Including module: ", " ***"); ok {
			return l, true
		}
		if l.image, ok = quoted(text, "Creating initramfs image file '", "' done ***"); ok {
			l.success = true
			return l, true
		}
		l.image, ok = quoted(text, "Creating image file '", "' ***")
		return l, ok
	}
	l.file, l.release = listedPatch(text)
	return l, l.file != ""
}

// kernelArgument finds the kernel release in dracut's arguments, empty if it has none: then
// the running kernel is meant. The last --kver counts.
func kernelArgument(args []string) (release string) {
	for i, arg := range args {
		if r, ok := strings.CutPrefix(arg, "--kver="); ok {
			release = r
		} else if arg == "--kver" && i+1 < len(args) {
			release = args[i+1]
		}
	}
	// dracut [OPTION…] [IMAGE [RELEASE]] [OPTION…]: no option is followed by a path and a number.
	for i := 1; release == "" && i+1 < len(args); i++ {
		if next := args[i+1]; strings.HasPrefix(args[i], "/") && next[0] >= '0' && next[0] <= '9' {
			release = next
		}
	}
	return release
}

// listedPatch finds a live patch module in a line of dracut's list of files, as `ls -l`
// prints them: …/modules/RELEASE/livepatch/NAME.ko, or kgraft on SLE 12.
func listedPatch(text string) (file, release string) {
	if !strings.HasPrefix(text, "-r") {
		return "", ""
	}
	name := text[strings.LastIndexByte(text, ' ')+1:]
	dir, file := path.Split(name)
	dir, kind := path.Split(strings.TrimSuffix(dir, "/"))
	modules, release := path.Split(strings.TrimSuffix(dir, "/"))
	if kind != "livepatch" && kind != "kgraft" || !strings.HasSuffix(modules, "lib/modules/") || !strings.Contains(file, ".ko") {
		return "", ""
	}
	return file, release
}

func (l line) applyTo(b *Build) {
	switch {
	case l.executes:
		b.KernelRelease = l.kernel
	case strings.Contains(l.module, "livepatch") || strings.Contains(l.module, "kgraft"):
		b.LivepatchModule = true
	case l.file != "":
		b.Source = SourceList
		b.Modules = append(b.Modules, Module{File: l.file})
		if b.KernelRelease == "" {
			b.KernelRelease = l.release
		}
	case l.image != "":
		b.Image, b.Success = l.image, l.success
	}
}

// telling says whether a line is evidence for what was packed, or that it ended well.
func (l line) telling() bool {
	return l.executes || l.file != "" || l.success || strings.Contains(l.module, "livepatch") || strings.Contains(l.module, "kgraft")
}

// current is the build that a stream's lines belong to, nil if there is none. A list of
// files comes after the line that it is done.
func (b *builds) current(stream string) *building {
	for i := len(b.list) - 1; i >= 0; i-- {
		if b.list[i].stream == stream {
			return b.list[i]
		}
	}
	return nil
}

// takeOwn takes in an entry of klp-audit's dracut module. Those of one process about one
// image are one build: they come at once.
func (b *builds) takeOwn(f fields, message string) error {
	e, err := f.entry(message)
	if err != nil {
		return err
	}
	pid, kernel, image := f.get("_PID"), f.get("KLP_KERNEL"), f.get("KLP_IMAGE")
	var build *building
	if n := len(b.own); n > 0 && b.own[n-1].pid == pid && b.own[n-1].Image == image && b.own[n-1].KernelRelease == kernel &&
		e.Time.Sub(b.own[n-1].Time) < ownSpan {
		build = b.own[n-1]
	} else {
		build = &building{Build: Build{Start: e.Time, Source: SourceOwn, KernelRelease: kernel, Image: image}, pid: pid}
		b.own = append(b.own, build)
	}
	build.Entry = e
	if file := f.get("KLP_MODULE"); file != "" {
		build.Modules = append(build.Modules, Module{File: file, SrcVersion: f.get("KLP_SRCVERSION"), SHA256: f.get("KLP_SHA256")})
	} else {
		build.None = true
	}
	build.Evidence = append(build.Evidence, e)
	return nil
}

// ownSpan is how long one process may take for the entries of one build, at most; after
// that its number is another's.
const ownSpan = time.Minute

// done returns the builds. Where dracut was not told a kernel, it is the running one. What
// klp-audit's own entries say is of the dracut that wrote that image around them: several
// may be at work, such as for the crash kernel.
func (b *builds) done(running string) []Build {
	var list []Build
	for _, build := range b.list {
		build.KernelRelease = cmp.Or(build.KernelRelease, running)
		list = append(list, build.Build)
	}
	for _, own := range b.own {
		if i := around(list, own.Build); i >= 0 {
			list[i].Source, list[i].Modules, list[i].None = SourceOwn, own.Modules, own.None
			list[i].Evidence = append(slices.Clone(list[i].Evidence), own.Evidence...)
			slices.SortStableFunc(list[i].Evidence, func(a, b Entry) int { return a.Time.Compare(b.Time) })
		} else {
			list = append(list, own.Build)
		}
	}
	slices.SortStableFunc(list, func(a, b Build) int { return a.Start.Compare(b.Start) })
	return list
}

// around is the index of the newest of dracut's builds in which own entries were written,
// -1 if there is none.
func around(list []Build, own Build) int {
	for i, b := range slices.Backward(list) {
		if b.Source != SourceOwn && b.Image == own.Image && b.KernelRelease == own.KernelRelease &&
			!own.Start.Before(b.Start) && !own.Time.After(b.Time) {
			return i
		}
	}
	return -1
}
