package journal

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// builds are the image builds of a boot, in the order in which they began.
type builds struct {
	place int         // position of the current entry among those of the boot
	list  []*building // dracut's
	own   []*building // from klp-audit's own entries
}

// building is a build while it is read.
type building struct {
	Build
	stream string     // distinguishes its lines from those of a simultaneous build
	args   *arguments // nil: its first line is missing
	listed []listed   // what it reported as packed
	moved  bool       // its image was written under another name, and then moved

	// For klp-audit's own entries:
	id   string    // of the build, else of the process that wrote them
	said time.Time // when the last one about a module was written
}

// listed is a live patch module in dracut's list of files, and the kernel that it is for.
type listed struct{ file, release string }

// begin returns a build whose first entry is the current one.
func (b *builds) begin(e Entry) *building {
	build := &building{Build: Build{Start: e.Time, From: b.place, Source: SourceModules}}
	build.Modules = []string{}
	build.newest(e, b.place)
	return build
}

// newest notes an entry of a build, and its position, as the newest one.
func (b *building) newest(e Entry, place int) {
	b.Time, b.Cursor, b.To = record.At(e.Time), e.Cursor, place
}

// pack notes a module that a build reported as packed.
func (b *building) pack(m Module) {
	b.Packed, b.Modules = append(b.Packed, m), append(b.Modules, m.File)
}

// takeDracut takes a line of dracut; a line sent by logger(1) has no stream.
func (b *builds) takeDracut(f fields, message string) error {
	return b.takeLine(f, cmp.Or(f.get("_STREAM_ID"), f.get("SYSLOG_PID")), plainText(message))
}

// takeKernelLog takes a line that dracut wrote without a journald, such as in a chroot:
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

// builtIn returns the root file system of a process, judged by the path of its program as journald
// saw it: in a chroot the path begins with the path of the chroot. Empty: not known.
func builtIn(f fields) string {
	exe := f.get("_EXE")
	for _, folder := range []string{"/usr/", "/bin/", "/sbin/"} {
		if root, _, ok := strings.Cut(exe, folder); ok {
			return cmp.Or(root, RootHere)
		}
	}
	return ""
}

// told returns the first of two roots, unless the second one is more specific.
func told(first, second string) string {
	if first == "" || first == RootUnclear && second != "" {
		return second
	}
	return first
}

// plainText removes the prefix of dracut's lines on stderr: "dracut: " or, in SUSE's version,
// "dracut[I]: ".
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
	if build == nil || line.args != nil {
		build = b.begin(e)
		build.stream = stream
		b.list = append(b.list, build)
	}
	build.newest(e, b.place)
	if build.Root == "" && f.get("_TRANSPORT") == "kernel" {
		build.Root = RootUnclear
	} else if build.Root == "" {
		build.Root = builtIn(f)
	}
	line.applyTo(build)
	if line.telling() {
		build.Evidence = append(build.Evidence, e)
	}
	return nil
}

// line is what a line of dracut says.
type line struct {
	args    *arguments // "Executing: /usr/bin/dracut …": the start of a build
	module  string     // a dracut module that is included
	file    string     // a live patch in the list of files
	release string     // the kernel that the file is for
	image   string     // the image that is written
	success bool       // and was written
	move    bool       // it is moved from another name to this one
	failed  bool       // it could not be written or moved
}

func parseLine(text string) (l line, ok bool) {
	if args, found := strings.CutPrefix(text, "Executing: "); found {
		return line{args: parseArguments(args)}, true
	}
	if text, found := strings.CutPrefix(text, "*** "); found {
		return parseStep(text)
	}
	if strings.HasSuffix(text, " failed") {
		l.failed = strings.Contains(text, "reation of ") || strings.HasPrefix(text, "Move of ")
		return l, l.failed
	}
	l.file, l.release = listedPatch(text)
	return l, l.file != ""
}

// parseStep reads what dracut says about one of its steps, without the stars before it.
func parseStep(text string) (l line, ok bool) {
	if l.module, ok = quoted(text, "Including module: ", " ***"); ok {
		return l, true
	}
	if moved, found := strings.CutPrefix(text, "Moving image file '"); found {
		from, to, _ := strings.Cut(moved, "' to '")
		l.image, l.success = strings.CutSuffix(to, "' done ***")
		l.image, l.move = strings.TrimSuffix(l.image, "' ***"), true
		if from != l.image+temporary {
			return line{}, false
		}
		return l, true
	}
	for _, kind := range []string{"initramfs", "UEFI", "signed UEFI"} {
		if l.image, l.success = quoted(text, "Creating "+kind+" image file '", "' done ***"); l.success {
			return l, true
		}
		if l.image, l.failed = quoted(text, "Creating "+kind+" image file '", "' failed ***"); l.failed {
			return l, true
		}
	}
	l.image, ok = quoted(text, "Creating image file '", "' ***")
	return l, ok
}

// temporary is the suffix of the name under which dracut 107 and later writes an image that already
// exists.
const temporary = ".tmp"

// listedPatch finds a live patch module in a line of dracut's list of files, as `ls -l` prints it:
// …/modules/RELEASE/livepatch/NAME.ko, or kgraft on SLE 12.
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

func (l line) applyTo(b *building) {
	switch {
	case l.args != nil:
		b.args = l.args
		if root := path.Clean("/" + l.args.sysroot); root != RootHere {
			b.Root = root
		}
	case isPatching(l.module):
		b.LivepatchModule = true
	case l.file != "":
		b.Source = SourceList
		b.listed = append(b.listed, listed{l.file, l.release})
	case l.failed:
		b.Failed, b.Success = true, false
	case l.image != "":
		b.Image, b.Success = l.image, l.success
		b.moved = b.moved || l.move
		if l.success {
			b.Done = b.Time.Time
		}
	}
}

// isPatching says whether a dracut module packs live patches.
func isPatching(module string) bool {
	return strings.Contains(module, "livepatch") || strings.Contains(module, "kgraft")
}

// telling says whether a line is evidence of what was packed, or of how it ended.
func (l line) telling() bool {
	return l.args != nil || l.file != "" || l.success || l.failed || isPatching(l.module)
}

// end fills in what follows from all lines together. If dracut was called without a kernel, the
// image is for the running one. An image that is not moved yet is not there yet.
func (b *building) end(running string) Build {
	if image, ok := strings.CutSuffix(b.Image, temporary); ok && !b.moved {
		b.Image, b.Success = image, false
	}
	b.KernelRelease = b.args.kernel(b.Image, running)
	for _, m := range b.listed {
		if b.KernelRelease == "" && b.args == nil {
			b.KernelRelease = m.release
		}
		if m.release == b.KernelRelease {
			b.pack(Module{File: m.file})
		}
	}
	if !b.Success {
		b.Done = time.Time{}
	}
	return b.Build
}

// current returns the build that the lines of a stream belong to, nil if there is none. dracut
// prints its list of files after the line that says that the build is done.
func (b *builds) current(stream string) *building {
	for i := len(b.list) - 1; i >= 0; i-- {
		if b.list[i].stream == stream {
			return b.list[i]
		}
	}
	return nil
}

// takeOwn takes an entry of klp-audit's dracut module about a live patch that an image packs, or
// about packing none.
func (b *builds) takeOwn(f fields, message string) error {
	build, e, err := b.ownBuild(f, message)
	if err != nil {
		return err
	}
	build.Source, build.said = SourceOwn, e.Time
	if file := f.get("KLP_MODULE"); file != "" {
		build.pack(Module{File: file, SrcVersion: f.get("KLP_SRCVERSION"), SHA256: f.get("KLP_SHA256")})
		count, _ := f.number("KLP_COUNT")
		build.Partial = int64(len(build.Packed)) < count
	} else {
		build.None = true
	}
	return nil
}

// takeWritten takes the entry of klp-audit's dracut module that an image was written.
func (b *builds) takeWritten(f fields, message string) error {
	build, e, err := b.ownBuild(f, message)
	if err != nil {
		return err
	}
	size, _ := f.number("KLP_SIZE")
	if us, ok := f.number("KLP_TIME"); ok {
		build.Written = &Written{Size: size, Time: time.UnixMicro(us).UTC()}
		build.Success, build.Done = true, e.Time
	}
	return nil
}

// ownBuild returns the build that an entry of klp-audit's dracut module belongs to. The entry has
// the id of the build; entries of an older module belong together if one process wrote them about
// one image.
func (b *builds) ownBuild(f fields, message string) (*building, Entry, error) {
	e, err := f.entry(message)
	if err != nil {
		return nil, e, err
	}
	if us, ok := f.number("_SOURCE_REALTIME_TIMESTAMP"); ok && us < e.Time.UnixMicro() {
		e.Time = time.UnixMicro(us).UTC() // journald may receive it late
	}
	id, kernel, image := f.get("KLP_BUILD"), f.get("KLP_KERNEL"), f.get("KLP_IMAGE")
	span := time.Duration(math.MaxInt64)
	if id == "" {
		id, span = f.get("_PID"), ownSpan
	}
	for _, build := range slices.Backward(b.own) {
		if build.id == id && build.Image == image && build.KernelRelease == kernel && e.Time.Sub(build.Time.Time) < span {
			build.newest(e, b.place)
			build.Root = told(builtIn(f), build.Root)
			build.Evidence = append(build.Evidence, e)
			return build, e, nil
		}
		if span == ownSpan {
			break // another process has written since
		}
	}
	build := b.begin(e)
	build.id, build.KernelRelease, build.Image, build.Evidence = id, kernel, image, []Entry{e}
	build.Root = told(builtIn(f), f.get("KLP_ROOT"))
	b.own = append(b.own, build)
	return build, e, nil
}

// ownSpan is the longest that one process takes for the entries of one build; later entries with
// its pid are from another process.
const ownSpan = time.Minute

// done returns the builds. klp-audit's own entries belong to the dracut run that wrote that image
// around them: several may run at once, such as for the crash kernel.
func (b *builds) done(running string) []Build {
	var list []Build
	for _, build := range b.list {
		list = append(list, build.end(running))
	}
	for _, own := range b.own {
		if i := around(list, own); i >= 0 {
			list[i] = joined(list[i], own.Build)
		} else {
			own.Silent = true
			list = append(list, own.Build)
		}
	}
	slices.SortStableFunc(list, func(a, b Build) int { return cmp.Compare(a.From, b.From) })
	return list
}

// joined returns a build of dracut with what the entries of klp-audit's module say about it.
func joined(b, own Build) Build {
	if own.Source == SourceOwn {
		b.Source, b.Modules, b.Packed, b.None, b.Partial = SourceOwn, own.Modules, own.Packed, own.None, own.Partial
	}
	if own.Written != nil {
		b.Written, b.Success, b.Done = own.Written, true, own.Done
	}
	b.Image, b.Root = cmp.Or(b.Image, own.Image), told(b.Root, own.Root)
	b.Evidence = append(slices.Clone(b.Evidence), own.Evidence...)
	slices.SortStableFunc(b.Evidence, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	return b
}

// around returns the index of dracut's build during which own entries were written, -1 if there is
// none, or if it may be another one.
func around(list []Build, own *building) int {
	found := -1
	for i, b := range list {
		sameRoot := told(b.Root, own.Root) == told(own.Root, b.Root)
		if b.Source == SourceOwn || b.Image != "" && b.Image != own.Image || b.KernelRelease != own.KernelRelease || !sameRoot {
			continue
		}
		within := !own.said.Before(b.Start) && !own.said.After(b.Time.Time)
		if own.said.IsZero() { // the entry that it is written is the last
			within = !b.Done.IsZero() && !own.Start.Before(b.Done) && own.Start.Sub(b.Time.Time) < ownSpan
		}
		if !within {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}
