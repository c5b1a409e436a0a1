package journal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

const (
	testBoot    = "0123456789abcdef0123456789abcdef"
	testKernel  = "6.4.0-150600.23.42-default"
	remote      = "/usr/lib/systemd/systemd-journal-remote"
	linuxLine   = "_TRANSPORT=kernel SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=0 PRIORITY=5 _SOURCE_MONOTONIC_TIMESTAMP=0 | Linux version " + testKernel + " (gcc)"
	kernelLine  = "_TRANSPORT=kernel SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=0 PRIORITY=5 _SOURCE_MONOTONIC_TIMESTAMP=%d000000 _RUNTIME_SCOPE=%s | livepatch: %s"
	dracutLine  = "_TRANSPORT=stdout SYSLOG_IDENTIFIER=dracut _UID=0 PRIORITY=6 _STREAM_ID=%s | %s"
	ownEntry    = "_TRANSPORT=%s _UID=%s MESSAGE_ID=" + BuildMessageID + " SYSLOG_IDENTIFIER=klp-audit PRIORITY=5 _PID=%s KLP_KERNEL=" + testKernel + " KLP_IMAGE=/boot/initrd-x %s | text"
	initrdScope = "initrd"
)

func kernelSays(second int, scope, text string) string {
	return fmt.Sprintf(kernelLine, second, scope, text)
}

// written makes a journal file of entries "FIELD=value … | message", a second apart, with systemd's
// own writer, which accepts trusted fields as given.
func written(t *testing.T, entries ...string) string {
	t.Helper()
	if _, err := os.Stat(remote); err != nil {
		t.Skip("needs systemd-journal-remote")
	}
	var b strings.Builder
	for i, e := range entries {
		list, message, _ := strings.Cut(e, " | ")
		us := time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC).UnixMicro()
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n", us, (i+1)*1_000_000, testBoot)
		for _, f := range strings.Fields(list) {
			b.WriteString(f + "\n")
		}
		b.WriteString("MESSAGE=" + message + "\n\n")
	}
	dir := t.TempDir()
	export := filepath.Join(t.TempDir(), "entries.export")
	if err := os.WriteFile(export, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(remote, "-o", filepath.Join(dir, "system.journal"), export)
	cmd.Env = append(os.Environ(), "SYSTEMD_JOURNAL_COMPACT=0", "SYSTEMD_JOURNAL_KEYED_HASH=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// Lines that imitate the kernel's or klp-audit's own are rejected.
func TestLookalikes(t *testing.T) {
	const enabling, user = "livepatch: enabling patch 'livepatch_9_9'", "_TRANSPORT=journal _UID=1000 PRIORITY=6 MESSAGE_ID="
	dir := written(t, linuxLine,
		"_TRANSPORT=kernel SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=1 PRIORITY=5 _SOURCE_MONOTONIC_TIMESTAMP=1 | "+enabling, // echo >/dev/kmsg
		"_TRANSPORT=kernel SYSLOG_IDENTIFIER=livepatch SYSLOG_FACILITY=1 PRIORITY=5 | enabling patch 'livepatch_9_9'",
		"_TRANSPORT=syslog SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=0 PRIORITY=5 _UID=1000 | "+enabling, // logger -t kernel
		"_TRANSPORT=stdout SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=0 PRIORITY=5 _UID=0 | "+enabling,
		"_TRANSPORT=journal SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=0 PRIORITY=5 _UID=1000 | "+enabling,
		"_TRANSPORT=syslog SYSLOG_IDENTIFIER=dracut _UID=1000 PRIORITY=6 | Executing: /usr/bin/dracut --kver "+testKernel,
		"_TRANSPORT=stdout SYSLOG_IDENTIFIER=dracut-cmdline _UID=0 PRIORITY=6 | Executing: /usr/bin/dracut --kver "+testKernel,
		fmt.Sprintf(ownEntry, "journal", "1000", "7", "KLP_MODULE=livepatch-9-9.ko"),
		fmt.Sprintf(ownEntry, "syslog", "0", "7", "KLP_MODULE=livepatch-9-9.ko"),
		"_TRANSPORT=journal SYSLOG_IDENTIFIER=systemd _UID=1000 PRIORITY=5 | Switching root.",
		// Fields may be repeated: a match on one field must not let in the other values.
		user+idMessagesMissed+" SYSLOG_IDENTIFIER=systemd | Switching root.",
		user+idMessagesMissed+" MESSAGE_ID="+BuildMessageID+" KLP_KERNEL="+testKernel+" KLP_IMAGE=/boot/initrd-x KLP_MODULE=livepatch-9-9.ko | text",
		user+idMessagesMissed+" MESSAGE_ID=1 SYSLOG_IDENTIFIER=dracut | Executing: /usr/bin/dracut",
	)
	got := boots(t, dir)
	if len(got) != 1 || len(got[0].Loads) != 0 || len(got[0].ImageBuilds) != 0 || got[0].MessagesLost || got[0].KernelRelease != testKernel {
		t.Errorf("got %+v", got)
	}
}

// The lines after a load tell what became of it.
func TestResultsOfLoads(t *testing.T) {
	const a, b = "livepatch_1_1", "livepatch_2_1"
	enabling, complete := "enabling patch '%s'", "'%s': patching complete"
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"complete":             {[]string{fmt.Sprintf(enabling, a), "'" + a + "': starting patching transition", fmt.Sprintf(complete, a)}, []string{a + " complete"}},
		"pending":              {[]string{fmt.Sprintf(enabling, a), "'" + a + "': starting patching transition"}, []string{a + " unknown"}},
		"replaced":             {[]string{fmt.Sprintf(enabling, a), fmt.Sprintf(complete, a), fmt.Sprintf(enabling, b), fmt.Sprintf(complete, b)}, []string{a + " complete replaced by " + b, b + " complete"}},
		"disabled":             {[]string{fmt.Sprintf(enabling, a), fmt.Sprintf(complete, a), "'" + a + "': starting unpatching transition", "'" + a + "': unpatching complete"}, []string{a + " complete disabled"}},
		"reversed":             {[]string{fmt.Sprintf(enabling, a), "'" + a + "': starting unpatching transition", "'" + a + "': unpatching complete"}, []string{a + " reverted"}},
		"failed":               {[]string{fmt.Sprintf(enabling, a), "failed to enable patch '" + a + "'", "'" + a + "': unpatching complete"}, []string{a + " failed"}},
		"forced":               {[]string{fmt.Sprintf(enabling, a), "forcing remaining tasks to the patched state", fmt.Sprintf(complete, a)}, []string{a + " complete forced"}},
		"complete, old kernel": {[]string{fmt.Sprintf(enabling, a), "'" + a + "': patching...", fmt.Sprintf(complete, a)}, []string{a + " complete"}},
		"refused":              {[]string{"symbol 'x' not found in symbol table"}, nil},
		"hostile names":        {[]string{"enabling patch ''", "enabling patch 'a' 'b'", "enabling patch 'a", "'x': patching complete"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			entries := []string{linuxLine}
			for i, l := range tt.lines {
				entries = append(entries, kernelSays(3+i, initrdScope, l))
			}
			var got []string
			for _, l := range boots(t, written(t, entries...))[0].Loads {
				text := l.Patch + " " + string(l.Result)
				if l.Disabled != nil {
					text += " disabled"
				}
				if l.Forced {
					text += " forced"
				}
				if l.Replaced != "" {
					text += " replaced by " + l.Replaced
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A load says when it was complete, and since when it is being turned back: before completion it
// did not protect all tasks, and until the end some tasks ran with it.
func TestTimesOfLoads(t *testing.T) {
	const a, b = "livepatch_1_1", "livepatch_2_1"
	loads := boots(t, written(t, linuxLine,
		kernelSays(1, "system", "enabling patch '"+a+"'"), kernelSays(2, "system", "'"+a+"': patching complete"),
		kernelSays(3, "system", "enabling patch '"+b+"'"), kernelSays(4, "system", "'"+b+"': starting unpatching transition"),
		kernelSays(5, "system", "'"+b+"': unpatching complete"),
	))[0].Loads
	second := func(at *record.Timestamp) int {
		if at == nil {
			return -1
		}
		return at.Second()
	}
	if len(loads) != 2 || second(loads[0].Completed) != 2 || second(loads[0].Reverted) != -1 || second(loads[1].Completed) != -1 || second(loads[1].Reverted) != 5 {
		t.Errorf("got %+v", loads)
	}
}

// Builds are told apart, however dracut logs, and whoever runs it.
func TestBuildsOfEveryForm(t *testing.T) {
	executing, done := "Executing: /usr/bin/dracut --kver "+testKernel, "*** Creating initramfs image file '/boot/initrd-x' done ***"
	said := func(stream string, lines ...string) (entries []string) {
		for _, l := range lines {
			entries = append(entries, fmt.Sprintf(dracutLine, stream, l))
		}
		return entries
	}
	for name, tt := range map[string]struct {
		entries []string
		want    []string
	}{
		"log level 4":       {said("a", "dracut-059", executing, "*** Including module: bash ***", "*** Including module: kernel-livepatch ***", done), []string{"modules true [] true"}},
		"without a module":  {said("a", executing, "*** Including module: bash ***", done), []string{"modules false [] true"}},
		"kgraft":            {said("a", executing, "*** Including module: kgraft ***", done), []string{"modules true [] true"}},
		"failed":            {said("a", executing, "*** Including module: kernel-livepatch ***", "dracut: creation of /boot/initrd-x failed"), []string{"modules true [] false"}},
		"run as a unit":     {said("a", "dracut: "+executing, "dracut: *** Including module: kernel-livepatch ***", "dracut: "+done), []string{"modules true [] true"}},
		"SUSE's stderr":     {said("a", "dracut[I]: "+executing, "dracut[I]: *** Including module: kernel-livepatch ***", "dracut[I]: "+done), []string{"modules true [] true"}},
		"log level 5":       {said("a", executing, done, "-rw-r--r-- 1 root root 1 Nov 23 06:41 usr/lib/modules/"+testKernel+"/livepatch/livepatch-1-1.ko"), []string{"list false [livepatch-1-1.ko] true"}},
		"one after another": {append(said("a", executing, done), said("b", executing)...), []string{"modules false [] true", "modules false [] false"}},
		"two at a time": {[]string{
			said("a", executing)[0], said("b", executing)[0], said("a", "*** Including module: kernel-livepatch ***")[0], said("b", done)[0],
		}, []string{"modules true [] false", "modules false [] true"}},
		"own entries alone": {[]string{
			fmt.Sprintf(ownEntry, "journal", "0", "7", "KLP_MODULE=livepatch-1-1.ko KLP_SRCVERSION=S"),
			fmt.Sprintf(ownEntry, "journal", "0", "7", "KLP_MODULE=livepatch-2-1.ko"),
			fmt.Sprintf(ownEntry, "journal", "0", "8", ""),
		}, []string{"own false [livepatch-1-1.ko livepatch-2-1.ko] false", "own false [] false none"}},
		"own entries within dracut's": {append(append(said("a", executing, "*** Including module: kernel-livepatch ***"),
			fmt.Sprintf(ownEntry, "journal", "0", "7", "KLP_MODULE=livepatch-2-1.ko")), said("a", done)...),
			[]string{"own true [livepatch-2-1.ko] true"}},
		"in the kernel's log": {[]string{
			"_TRANSPORT=kernel SYSLOG_FACILITY=1 PRIORITY=6 | dracut[1776] " + executing,
			"_TRANSPORT=kernel SYSLOG_FACILITY=1 PRIORITY=6 | dracut[1776] *** Including module: kernel-livepatch ***",
			"_TRANSPORT=kernel SYSLOG_FACILITY=1 PRIORITY=6 | dracut[1776] " + done,
		}, []string{"modules true [] true"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, b := range boots(t, written(t, append([]string{linuxLine}, tt.entries...)...))[0].ImageBuilds {
				files := []string{}
				for _, m := range b.Packed {
					files = append(files, m.File)
				}
				text := fmt.Sprintf("%s %t %s %t", b.Source, b.LivepatchModule, files, b.Success)
				if b.None {
					text += " none"
				}
				got = append(got, text)
				if b.KernelRelease != testKernel {
					t.Errorf("kernel %q", b.KernelRelease)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A user cannot move the end of the initrd to after a load.
func TestForgedSwitch(t *testing.T) {
	got := boots(t, written(t, linuxLine, kernelSays(2, "system", "enabling patch 'livepatch_1_1'"), linuxLine, linuxLine,
		"_TRANSPORT=journal _UID=1000 MESSAGE_ID="+idMessagesMissed+" SYSLOG_IDENTIFIER=systemd PRIORITY=5 | Switching root."))
	if l := got[0].Loads; len(l) != 1 || l[0].Phase != record.PhaseUnknown {
		t.Errorf("got %+v", got)
	}
}

// Own entries go to the dracut run that wrote their image, not to another run for the same kernel
// at that time, nor to an earlier one that failed.
func TestOwnEntriesFindTheirBuild(t *testing.T) {
	const executing, done = "Executing: /usr/bin/dracut --kver " + testKernel, "*** Creating initramfs image file '%s' done ***"
	line := func(stream, text string) string { return fmt.Sprintf(dracutLine, stream, text) }
	packed := fmt.Sprintf(ownEntry, "journal", "0", "8", "KLP_MODULE=livepatch-1-1.ko")
	none := fmt.Sprintf(ownEntry, "journal", "0", "7", "")
	for name, tt := range map[string]struct {
		entries []string
		want    []string
	}{
		"two at a time": {
			[]string{
				line("a", executing), line("b", executing), none, strings.Replace(packed, "/boot/initrd-x", "/var/lib/kdump/initrd", 1),
				line("a", fmt.Sprintf(done, "/boot/initrd-x")), line("b", fmt.Sprintf(done, "/var/lib/kdump/initrd")),
			},
			[]string{"own /boot/initrd-x 0 true", "own /var/lib/kdump/initrd 1 true"},
		},
		"a failed one before": {
			[]string{line("a", executing), linuxLine, packed},
			[]string{"modules  0 false", "own /boot/initrd-x 1 false"},
		},
		"the same process number again": {
			[]string{none, packed, none},
			[]string{"own /boot/initrd-x 0 false", "own /boot/initrd-x 1 false", "own /boot/initrd-x 0 false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, b := range boots(t, written(t, append([]string{linuxLine}, tt.entries...)...))[0].ImageBuilds {
				got = append(got, fmt.Sprintf("%s %s %d %t", b.Source, b.Image, len(b.Packed), b.Success))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A journal that cannot be read is named in the error, not mistaken for an empty one.
func TestJournalsThatCannotBeRead(t *testing.T) {
	garbage, text := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "system.journal"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		garbage: "system.journal", text: "no journal", filepath.Join(text, "missing"): "no such file", "/etc/passwd": "not a folder",
	} {
		if _, err := Boots(t.Context(), dir, Query{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", dir, err, want)
		}
	}
}

// If messages were lost, or the start of the boot is gone, the boot says so.
func TestWhatIsMissing(t *testing.T) {
	lost := boots(t, written(t, "_TRANSPORT=driver MESSAGE_ID="+idMessagesMissed+" PRIORITY=4 | Missed 2126 kernel messages"))[0]
	if !lost.MessagesLost || lost.StartInJournal {
		t.Errorf("got %+v", lost)
	}
	rotated := boots(t, written(t, kernelSays(86400, "system", "enabling patch 'livepatch_1_1'")))[0]
	if rotated.StartInJournal || len(rotated.Loads) != 1 || rotated.Loads[0].Phase != record.PhaseUnknown {
		t.Errorf("got %+v", rotated)
	}
}

// Which kernel and image a build is for, as dracut itself reads its words; the line has lost their
// quotes. What cannot be determined is empty, and never assumed to be the running kernel.
func TestKernelOfABuild(t *testing.T) {
	const other = "6.4.0-150600.23.47-default"
	for name, tt := range map[string]struct{ args, image, want string }{
		"a relative image":              {"--force initrd-" + other + " " + other, "/boot/initrd-" + other, other},
		"a relative path":               {"--force boot/initrd-" + other + " " + other, "/boot/initrd-" + other, other},
		"an absolute image":             {"-f /boot/initrd-" + other + " " + other, "/boot/initrd-" + other, other},
		"options after the words":       {"initrd " + other + " -f --no-hostonly", "/root/initrd", other},
		"an empty image":                {"-f  " + other, "/boot/initrd-" + other, other},
		"an empty image, spaces lost":   {"-f " + other, "/boot/initrd-" + other, ""},
		"an image alone":                {"-f initrd.img", "/root/initrd.img", testKernel},
		"no word":                       {"-f", "/boot/initrd-" + testKernel, testKernel},
		"--kver":                        {"-f --kver " + other, "/boot/initrd-" + other, other},
		"--kver=":                       {"-f --kver=" + other, "/boot/initrd-" + other, other},
		"--kver twice":                  {"-f --kver=" + testKernel + " --kver " + other, "/boot/initrd-" + other, other},
		"--kver, shortened":             {"-f --kv " + other, "/boot/initrd-" + other, other},
		"an option's value":             {"-f --add network --tmpdir /tmp 5", "/root/5", testKernel},
		"short options":                 {"-fvm base -I /a initrd " + other, "/root/initrd", other},
		"a value in the option":         {"-f -mbase --add=x initrd " + other, "/root/initrd", other},
		"an included folder":            {"-f --include /a /b initrd " + other, "/root/initrd", other},
		"behind --":                     {"-f -- initrd " + other, "/root/initrd", other},
		"a value of several words":      {"-f --add a b initrd-" + other + " " + other, "/boot/initrd-" + other, other},
		"a value that looks like words": {"-f --kernel-cmdline quiet b 5", "/boot/initrd-" + testKernel, ""},
		"words that make no sense":      {"-f a b c", "/root/a", ""},
		"made from another image":       {"-f --rebuild /boot/initrd-" + other, "/boot/initrd-" + other, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []string
			for _, l := range []string{"Executing: /usr/bin/dracut " + tt.args, "*** Creating initramfs image file '" + tt.image + "' done ***"} {
				entries = append(entries, fmt.Sprintf(dracutLine, "a", l))
			}
			got := boots(t, written(t, append([]string{linuxLine}, entries...)...))[0].ImageBuilds
			if len(got) != 1 || got[0].KernelRelease != tt.want || got[0].Image != tt.image || !got[0].Success {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
	t.Run("its beginning is gone", func(t *testing.T) {
		done := fmt.Sprintf(dracutLine, "a", "*** Creating initramfs image file '/boot/initrd' done ***")
		if got := boots(t, written(t, linuxLine, done))[0].ImageBuilds; len(got) != 1 || got[0].KernelRelease != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("listed for another kernel", func(t *testing.T) {
		lines := []string{linuxLine}
		for _, l := range []string{"Executing: /usr/bin/dracut -f", "*** Creating initramfs image file '/boot/initrd' done ***",
			"-rw-r--r-- 1 root root 1 Nov 23 06:41 lib/modules/" + other + "/livepatch/livepatch-1-1.ko"} {
			lines = append(lines, fmt.Sprintf(dracutLine, "a", l))
		}
		if got := boots(t, written(t, lines...))[0].ImageBuilds; len(got) != 1 || len(got[0].Packed) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// dracut 107 and later writes an existing image under another name, and then moves it.
func TestImageThatIsMoved(t *testing.T) {
	const image, creating, moving = "/boot/initrd-x", "*** Creating initramfs image file '/boot/initrd-x.tmp' done ***", "*** Moving image file '/boot/initrd-x.tmp' to '/boot/initrd-x' "
	own := fmt.Sprintf(ownEntry, "journal", "0", "7", "KLP_MODULE=livepatch-1-1.ko")
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"moved":         {[]string{creating, moving + "***", moving + "done ***"}, "own /boot/initrd-x true"},
		"not moved":     {[]string{creating, moving + "***", "Move of " + image + " failed"}, "own /boot/initrd-x false"},
		"not yet":       {[]string{creating}, "own /boot/initrd-x false"},
		"not created":   {[]string{"Creation of " + image + ".tmp failed"}, "own /boot/initrd-x false"},
		"a name .tmp":   {[]string{strings.ReplaceAll(creating, "x.tmp", "x")}, "own /boot/initrd-x true"},
		"moved by hand": {[]string{creating, "*** Moving image file '/a' to '/b' done ***"}, "own /boot/initrd-x false"},
	} {
		t.Run(name, func(t *testing.T) {
			entries := []string{linuxLine, fmt.Sprintf(dracutLine, "a", "Executing: /usr/bin/dracut -f --kver "+testKernel), own}
			for _, l := range tt.lines {
				entries = append(entries, fmt.Sprintf(dracutLine, "a", l))
			}
			var got []string
			for _, b := range boots(t, written(t, entries...))[0].ImageBuilds {
				got = append(got, fmt.Sprintf("%s %s %t", b.Source, b.Image, b.Success))
			}
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Builds are in the order of the journal, even if the clock was set back between them and one of
// them is known only from klp-audit's entries.
func TestBuildsWhereTheClockWasSetBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var lines []Line
	for i, e := range []struct {
		hour         int
		id, kind, of string
	}{{17, "", "", "Executing: /usr/bin/dracut"}, {17, "", "", "*** Creating image file '/boot/initrd-a' ***"}, {12, "7", BuildMessageID, "/boot/initrd-b"}} {
		fields := map[string]string{"MESSAGE": e.of, "SYSLOG_IDENTIFIER": "dracut", "_UID": "0", "_STREAM_ID": "1"}
		if e.kind != "" {
			fields = map[string]string{"MESSAGE": "none", "MESSAGE_ID": e.kind, "_UID": "0", "_TRANSPORT": "journal", "KLP_BUILD": e.id, "KLP_IMAGE": e.of}
		}
		lines = append(lines, Line{Cursor: fmt.Sprint(i), Received: at.Add(time.Duration(e.hour) * time.Hour), Fields: fields})
	}
	b, err := ReadLines(testBoot, lines)
	if err != nil || len(b.ImageBuilds) != 2 || b.ImageBuilds[0].Image != "/boot/initrd-a" || b.ImageBuilds[1].Image != "/boot/initrd-b" {
		t.Errorf("%v, %+v", err, b.ImageBuilds)
	}
}
