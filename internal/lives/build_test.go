package lives

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
)

// logging is how much dracut says of a build.
type logging struct {
	level int  // of dracut: below 4 nothing, 4 its modules and results, 5 the files too
	own   bool // klp-audit's dracut module is there, and its entry comes in time
	// dropped has the image hold a live patch of another vendor, too, and journald drop the entry about ours.
	dropped bool
}

const foreignModule = "kpatch_local"

// step is a part of what a program does, and how long it takes until then.
type step struct {
	after time.Duration
	do    func()
}

// lasts is how long a program takes.
func lasts(program []step) (d time.Duration) {
	for _, s := range program {
		d += s.after
	}
	return d
}

// together runs programs beside each other.
func (w *world) together(programs ...[]step) {
	began := w.now
	type moment struct {
		at time.Duration
		do func()
	}
	var all []moment
	for _, p := range programs {
		at := time.Duration(0)
		for _, s := range p {
			at += s.after
			all = append(all, moment{at, s.do})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	for _, m := range all {
		w.now = began.Add(m.at)
		m.do()
	}
}

// build makes the initrd of a kernel in a system. It takes a while; the image is written at its end.
func (w *world) build(s *system, release string, how logging) {
	w.together(w.dracut(s, release, imageOf(release), how))
}

func imageOf(release string) string { return "/boot/initrd-" + release }

// dracut is what it does to make an image of a kernel. One of another name than the initrd's is for
// the crash kernel.
func (w *world) dracut(s *system, release, file string, how logging) []step {
	w.number++
	pid, module := strconv.Itoa(w.number), ""
	p := s.patchFor(release)
	kdump := file != imageOf(release)
	if p != nil && !kdump {
		module = moduleOf(*p)
	}
	beside := ""
	if how.dropped && module != "" {
		beside = foreignModule
	}
	exe := ""
	if w.chance(0.7) { // journald may be too late to see it
		exe = path.Join(w.rootOf(s), "usr/bin/logger")
	}
	say := func(atLevel int, text string) {
		if how.level >= atLevel {
			w.log(map[string]string{"_EXE": exe, "_TRANSPORT": "journal", "SYSLOG_IDENTIFIER": "dracut", "SYSLOG_PID": pid, "_UID": "0", "PRIORITY": "6", "MESSAGE": "dracut: " + text})
		}
	}
	var made image
	return []step{
		{0, func() { say(4, "Executing: /usr/bin/dracut -f "+file+" "+release) }},
		{w.between(time.Second, 10*time.Second), func() {
			if !kdump {
				say(4, "*** Including module: kernel-livepatch ***")
			}
			if how.own {
				w.logPacked(s, pid, release, file, module, beside)
			}
		}},
		{w.between(time.Second, 20*time.Second), func() { say(4, "*** Creating image file '"+file+"' ***") }},
		{w.between(time.Second, 5*time.Second), func() {
			w.number++
			if made = (image{module: module, beside: beside, written: w.wall(), size: int64(40<<20 + w.number)}); !kdump {
				s.images[release] = made
				w.mark()
			}
		}},
		{200 * time.Millisecond, func() {
			say(4, "*** Creating initramfs image file '"+file+"' done ***")
			if module != "" {
				say(5, "-rw-r--r--   1 root     root       184320 Mar  1 12:00 usr/lib/modules/"+release+"/livepatch/"+module+".ko")
			}
		}},
		{time.Second, func() {
			if how.own {
				w.logWritten(s, pid, release, file, made)
			}
		}},
	}
}

// logPacked is the entry of klp-audit's dracut module about what it packs.
func (w *world) logPacked(s *system, pid, release, path, module, beside string) {
	fields := map[string]string{"MESSAGE_ID": journal.BuildMessageID}
	switch {
	case beside != "":
		fields["KLP_MODULE"], fields["KLP_SRCVERSION"], fields["KLP_COUNT"] = beside+".ko", srcVersion(beside), "2"
	case module != "":
		fields["KLP_MODULE"], fields["KLP_SRCVERSION"], fields["KLP_COUNT"] = module+".ko", srcVersion(module), "1"
	}
	w.logOwn(s, pid, release, path, fields)
}

// logWritten is its entry about the image that was written.
func (w *world) logWritten(s *system, pid, release, path string, img image) {
	w.logOwn(s, pid, release, path, map[string]string{
		"MESSAGE_ID": journal.WrittenMessageID,
		"KLP_SIZE":   strconv.FormatInt(img.size, 10), "KLP_TIME": strconv.FormatInt(img.written.UnixMicro(), 10),
	})
}

func (w *world) logOwn(s *system, pid, release, path string, fields map[string]string) {
	root := w.rootOf(s)
	maps.Copy(fields, map[string]string{
		"_TRANSPORT": "journal", "_UID": "0", "_PID": pid, "SYSLOG_IDENTIFIER": "klp-audit", "MESSAGE": "initrd for " + release,
		"KLP_KERNEL": release, "KLP_IMAGE": path, "KLP_BUILD": "dracut." + pid, "KLP_ROOT": root, "KLP_SNAPSHOT": subvolume(s.number),
	})
	w.log(fields)
}

// rootOf is the root of a system, as the one that runs sees it.
func (w *world) rootOf(s *system) string {
	if s == w.sys {
		return journal.RootHere
	}
	return tree(s)
}

// tree is where a snapshot is in the system that runs.
func tree(s *system) string { return fmt.Sprintf("/.snapshots/%d/snapshot", s.number) }

func srcVersion(module string) string { return "SRC" + module }
