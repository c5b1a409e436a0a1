package journal

import (
	"path"
	"strings"
)

// builds are the image builds of a boot, in the order in which they began.
type builds struct {
	list []*building
}

// building is a build being read.
type building struct {
	Build
	stream string // what tells its lines from those of another build at the same time
	pid    string // of the process that wrote klp-audit's own entries
}

// take takes in a line of dracut, or an entry of klp-audit's dracut module.
func (b *builds) take(f fields, message string) error {
	if f.get("MESSAGE_ID") == BuildMessageID {
		return b.takeOwn(f, message)
	}
	stream := f.get("_STREAM_ID")
	if f.get("SYSLOG_IDENTIFIER") != "dracut" {
		rest, ok := strings.CutPrefix(message, "dracut[") // without a journald: "dracut[1776] text" in the kernel's log
		if !ok {
			return nil
		}
		stream, message, ok = strings.Cut(rest, "] ")
		if !ok {
			return nil
		}
	}
	return b.takeLine(f, stream, plainText(message))
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
		build = b.begin(stream, e)
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
// the running kernel is meant.
func kernelArgument(args []string) string {
	for i, arg := range args {
		if release, ok := strings.CutPrefix(arg, "--kver="); ok {
			return release
		}
		if arg == "--kver" && i+1 < len(args) {
			return args[i+1]
		}
	}
	// dracut [OPTION…] [IMAGE [RELEASE]]
	if n := len(args); n > 2 && strings.HasPrefix(args[n-2], "/") && !strings.HasPrefix(args[n-1], "-") && !strings.HasPrefix(args[n-1], "/") {
		return args[n-1]
	}
	return ""
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
		if b.Source != SourceOwn {
			b.Source = SourceList
			b.Modules = append(b.Modules, Module{File: l.file})
		}
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

func (b *builds) begin(stream string, e Entry) *building {
	build := &building{Build: Build{Start: e.Time, Source: SourceModules}, stream: stream}
	b.list = append(b.list, build)
	return build
}

// takeOwn takes in an entry of klp-audit's dracut module. It belongs to the dracut that is
// at work for that kernel, if dracut logs at all; else the entries of one process are one
// build.
func (b *builds) takeOwn(f fields, message string) error {
	e, err := f.entry(message)
	if err != nil {
		return err
	}
	pid, kernel, image := f.get("_PID"), f.get("KLP_KERNEL"), f.get("KLP_IMAGE")
	build := b.ownBuild(pid, kernel)
	if build == nil {
		build = b.begin("own "+pid, e)
	}
	if build.Source != SourceOwn {
		build.Source, build.Modules = SourceOwn, nil
	}
	build.pid, build.KernelRelease, build.Image, build.Entry = pid, kernel, image, e
	if file := f.get("KLP_MODULE"); file != "" {
		build.Modules = append(build.Modules, Module{File: file, SrcVersion: f.get("KLP_SRCVERSION"), SHA256: f.get("KLP_SHA256")})
	} else {
		build.None = true
	}
	build.Evidence = append(build.Evidence, e)
	return nil
}

func (b *builds) ownBuild(pid, kernel string) *building {
	for i := len(b.list) - 1; i >= 0; i-- {
		build := b.list[i]
		if build.pid == pid {
			return build
		}
		if build.pid == "" && !build.Success && (build.KernelRelease == kernel || build.KernelRelease == "") {
			return build
		}
	}
	return nil
}

// done returns the builds. Where dracut was not told a kernel, it is the running one.
func (b *builds) done(running string) []Build {
	var list []Build
	for _, build := range b.list {
		if build.KernelRelease == "" {
			build.KernelRelease = running
		}
		list = append(list, build.Build)
	}
	return list
}
