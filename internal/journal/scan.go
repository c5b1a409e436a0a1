package journal

import (
	"context"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/klp-audit/klp-audit/record"
)

// The message ids of klp-audit's own dracut module.
const (
	BuildMessageID   = "6f1c0a4b6e0b4c6f9a7d4b6f1f0e9a11" // what an image packs
	WrittenMessageID = "2d0f7c5e8a6b4f3c9e1d7a4b5c6f8e90" // that it was written
)

// MESSAGE_IDs of systemd (sd-messages.h).
const (
	idStartupFinished = "b07a249cd024414a82dd00cd181378ff"
	idMessagesMissed  = "e9bf28e6e834481bb6f48f548ad13606"
	idUnitStarting    = "7d4958e842da4a758f6c1cdc7b36dcc5"
	idUnitStarted     = "39f53479d3a045ac8e11786248231fbf"
)

// groups are the entries that say anything about live patches, boot phases and image builds: one
// match for each field, any of the groups. The journal's index finds them. A user can forge every
// field except the kernel's facility 0 and fields that begin with an underscore. So each group
// demands one that only root or the kernel can set: an entry may have MESSAGE_ID twice, and match
// one group in order to be read as another's.
var groups = [][]string{
	// The kernel's own lines: notices, warnings and errors. fromKernel checks the rest: each match
	// costs a search.
	{"_TRANSPORT=kernel", "PRIORITY=3", "PRIORITY=4", "PRIORITY=5"},
	// What PID 1 says before there is a journald, or while it is down.
	{"_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=systemd", "SYSLOG_PID=1"},
	{"_TRANSPORT=journal", "SYSLOG_IDENTIFIER=systemd", "_UID=0", "PRIORITY=5"},
	{"MESSAGE_ID=" + idStartupFinished, "_UID=0"},
	{"MESSAGE_ID=" + idUnitStarting, "UNIT=initrd-switch-root.service", "_UID=0"},
	{"MESSAGE_ID=" + idUnitStarted, "UNIT=initrd-switch-root.target", "_UID=0"},
	{"MESSAGE_ID=" + idMessagesMissed, "_TRANSPORT=driver"},
	{"MESSAGE_ID=" + BuildMessageID, "_TRANSPORT=journal", "_UID=0"},
	{"MESSAGE_ID=" + WrittenMessageID, "_TRANSPORT=journal", "_UID=0"},
	{"SYSLOG_IDENTIFIER=dracut", "_UID=0"},
	// dracut in a chroot without journald; only root can write to /dev/kmsg.
	{"_TRANSPORT=kernel", "SYSLOG_FACILITY=1"},
}

// scanBoot fills in what the journal says about a boot, and says whether each entry had its text:
// libsystemd skips what it finds damaged.
func scanBoot(ctx context.Context, j *sdjournal.Journal, b *Boot) (whole bool, err error) {
	if err := match(j, b.ID); err != nil {
		return false, err
	}
	if err := j.SeekHead(); err != nil {
		return false, err
	}
	s := scan{boot: b}
	for n := 0; ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if more, err := j.Next(); err != nil || more == 0 {
			s.finish()
			return !s.textMissing, err
		}
		if err := s.take(fields{j}); err != nil {
			return false, err
		}
	}
}

// match selects the entries of a boot that are in any of the groups. Each group costs a search for
// each entry, so groups without entries in this boot are left out.
func match(j *sdjournal.Journal, boot string) error {
	var there [][]string
	for _, group := range groups {
		if some, err := holds(j, boot, group); err != nil {
			return err
		} else if some {
			there = append(there, group)
		}
	}
	j.FlushMatches()
	if err := j.AddMatch("_BOOT_ID=" + boot); err != nil {
		return err
	}
	if err := j.AddConjunction(); err != nil {
		return err
	}
	if len(there) == 0 {
		there = groups[:1] // must match nothing, rather than everything
	}
	for _, group := range there {
		for _, m := range group {
			if err := j.AddMatch(m); err != nil {
				return err
			}
		}
		if err := j.AddDisjunction(); err != nil {
			return err
		}
	}
	return nil
}

// holds says whether a boot has an entry in a group.
func holds(j *sdjournal.Journal, boot string, group []string) (bool, error) {
	j.FlushMatches()
	for _, m := range append([]string{"_BOOT_ID=" + boot}, group...) {
		if err := j.AddMatch(m); err != nil {
			return false, err
		}
	}
	if err := j.SeekHead(); err != nil {
		return false, err
	}
	n, err := j.Next()
	return n > 0, err
}

// fields reads fields of the current entry, one at a time: for most entries the message is enough.
type fields struct{ j source }

// get returns a field's first value, empty if the entry has none.
func (f fields) get(name string) string {
	v, err := f.j.GetDataValue(name)
	if err != nil {
		return ""
	}
	return v
}

// number returns a numeric field, such as a time in microseconds.
func (f fields) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(f.get(name), 10, 64)
	return n, err == nil && n >= 0
}

func (f fields) entry(message string) (Entry, error) {
	cursor, err := f.j.GetCursor()
	if err != nil {
		return Entry{}, err
	}
	t, err := received(f.j)
	return Entry{Cursor: cursor, Time: t, Message: message}, err
}

// scan reads one boot, entry by entry in the order in which they were stored: times can be equal,
// and differ between clocks.
type scan struct {
	boot   *Boot
	marks  marks
	times  []moment // of boot.Loads
	builds builds
	// textMissing says that there was an entry without a message, which the kernel, systemd and
	// dracut never write.
	textMissing bool
}

// take takes one entry.
func (s *scan) take(f fields) error {
	s.builds.place++
	message, err := f.j.GetDataValue("MESSAGE")
	if err != nil {
		s.textMissing = true
	}
	switch {
	case strings.HasPrefix(message, "livepatch: "):
		return s.livepatch(f, message)
	case strings.HasPrefix(message, "Linux version "):
		return s.linuxVersion(f, message)
	}
	// Most entries end here; looking for a missing field costs a search, too.
	switch f.get("SYSLOG_IDENTIFIER") {
	case "kernel":
		return nil
	case "systemd":
		s.marks.take(f, message)
		return nil
	case "dracut":
		return s.builds.takeDracut(f, message)
	}
	switch f.get("MESSAGE_ID") {
	case idMessagesMissed:
		s.boot.MessagesLost = true
		return nil
	case BuildMessageID:
		return s.builds.takeOwn(f, message)
	case WrittenMessageID:
		return s.builds.takeWritten(f, message)
	}
	return s.builds.takeKernelLog(f, message)
}

// linuxVersion takes the kernel's first line.
func (s *scan) linuxVersion(f fields, message string) error {
	if !fromKernel(f) {
		return nil
	}
	release, _, _ := strings.Cut(strings.TrimPrefix(message, "Linux version "), " ")
	s.boot.KernelRelease, s.boot.StartInJournal = release, true
	return nil
}

// fromKernel says whether the kernel itself wrote an entry: anything written to /dev/kmsg has a
// facility other than 0 (printk.c, devkmsg_write).
func fromKernel(f fields) bool {
	return f.get("_TRANSPORT") == "kernel" && f.get("SYSLOG_FACILITY") == "0" && f.get("SYSLOG_IDENTIFIER") == "kernel"
}

// finish decides what needs the whole boot.
func (s *scan) finish() {
	for i := range s.boot.Loads {
		s.boot.Loads[i].Phase, s.boot.Loads[i].Rule = s.marks.phase(s.times[i], s.boot.StartInJournal)
	}
	s.boot.ImageBuilds = s.builds.done(s.boot.KernelRelease)
	for _, b := range s.boot.ImageBuilds {
		s.boot.Builds = append(s.boot.Builds, b.Build)
	}
}

// Enabling returns the kernel's line for loading a live patch: its exact text, because no other
// line is accepted.
func Enabling(patch string) string { return "livepatch: enabling patch '" + patch + "'" }

// livepatch takes a line of the kernel's live patching code (kernel/livepatch).
func (s *scan) livepatch(f fields, message string) error {
	if !fromKernel(f) {
		return nil
	}
	text := strings.TrimPrefix(message, "livepatch: ")
	if patch, ok := quoted(text, "enabling patch '", "'"); ok {
		e, err := f.entry(message)
		if err != nil {
			return err
		}
		src, known := f.number("_SOURCE_MONOTONIC_TIMESTAMP")
		s.boot.Loads = append(s.boot.Loads, record.Load{Patch: patch, Result: record.LoadUnknown, Time: record.At(e.Time), Cursor: e.Cursor})
		s.times = append(s.times, moment{src, known, f.get("_RUNTIME_SCOPE")})
		return nil
	}
	at, err := received(f.j)
	if err != nil {
		return err
	}
	t := record.At(at)
	if strings.HasPrefix(text, "forcing remaining tasks") {
		s.force()
		return nil
	}
	for _, end := range []struct {
		before, after string
		happened      func(*record.Load)
	}{
		{"'", "': patching complete", func(l *record.Load) { s.complete(l, t) }},
		{"'", "': starting unpatching transition", func(l *record.Load) { end(l, t) }},
		{"'", "': unpatching complete", func(l *record.Load) { end(l, t); back(l, t) }},
		{"failed to enable patch '", "'", func(l *record.Load) { l.Result = record.LoadFailed }},
	} {
		if patch, ok := quoted(text, end.before, end.after); ok {
			if l := s.newest(patch); l != nil {
				end.happened(l)
			}
			return nil
		}
	}
	return nil
}

// end notes that a patch is being disabled: from then on it does not protect all tasks.
func end(l *record.Load, t record.Timestamp) {
	switch {
	case l.Result == record.LoadComplete && l.Disabled == nil:
		l.Disabled = &t
	case l.Result == record.LoadUnknown:
		l.Result, l.Reverted = record.LoadReverted, &t
	}
}

// back notes that a load was turned back and is gone: until then some tasks ran with it.
func back(l *record.Load, t record.Timestamp) {
	if l.Result == record.LoadReverted {
		l.Reverted = &t
	}
}

// complete notes that a patch is active in all tasks, even if it was being disabled. SUSE's live
// patches are cumulative: each replaces the previous one, which gets no line of its own.
func (s *scan) complete(l *record.Load, t record.Timestamp) {
	l.Result, l.Completed, l.Reverted, l.Disabled = record.LoadComplete, &t, nil, nil
	for i := range s.boot.Loads {
		if old := &s.boot.Loads[i]; old != l && old.Result == record.LoadComplete && old.Disabled == nil && old.Replaced == "" {
			old.Replaced = l.Patch
		}
	}
}

// force notes that the pending transition was forced; the line names no patch.
func (s *scan) force() {
	if n := len(s.boot.Loads); n > 0 && s.boot.Loads[n-1].Result == record.LoadUnknown {
		s.boot.Loads[n-1].Forced = true
	}
}

// newest returns the newest load of a patch, nil if there is none.
func (s *scan) newest(patch string) *record.Load {
	for i := len(s.boot.Loads) - 1; i >= 0; i-- {
		if s.boot.Loads[i].Patch == patch {
			return &s.boot.Loads[i]
		}
	}
	return nil
}

// quoted returns what is between two texts, if the line consists of just that.
func quoted(text, before, after string) (string, bool) {
	rest, ok := strings.CutPrefix(text, before)
	if !ok {
		return "", false
	}
	name, rest, ok := strings.Cut(rest, after)
	return name, ok && name != "" && rest == "" && !strings.Contains(name, "'")
}
