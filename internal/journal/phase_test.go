package journal

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

const second = 1_000_000

// Each rule decides if the rules before it cannot, and decides nothing where it must not.
func TestPhase(t *testing.T) {
	systemd := marks{switchRoot: 14 * second, startup: 15 * second, inInitrd: true, systemModes: []int64{3 * second, 15*second + 200_000}}
	for name, tt := range map[string]struct {
		marks marks
		t     moment
		start bool
		phase record.Phase
		rule  string
	}{
		"received in the initrd":                {systemd, moment{6 * second, true, "initrd"}, true, record.PhaseInitrd, "R1"},
		"received in the initrd, nothing else":  {marks{}, moment{0, false, "initrd"}, false, record.PhaseInitrd, "R1"},
		"system is no proof: before the switch": {systemd, moment{6 * second, true, "system"}, true, record.PhaseInitrd, "R2"},
		"old systemd, before the switch":        {systemd, moment{6 * second, true, ""}, true, record.PhaseInitrd, "R2"},
		"within the tolerance of the switch":    {systemd, moment{14*second - 50_000, true, ""}, true, record.PhaseUnknown, ""},
		"between switch and real root":          {systemd, moment{14*second + 500_000, true, "system"}, true, record.PhaseUnknown, ""},
		"after the real root started":           {systemd, moment{30 * second, true, "system"}, true, record.PhaseSystem, "R3"},
		"after its first line, no startup line": {marks{switchRoot: 14 * second, inInitrd: true, systemModes: []int64{3 * second, 15 * second}}, moment{20 * second, true, ""}, true, record.PhaseSystem, "R4"},
		"daemon-reexec prints that line again":  {marks{switchRoot: 14 * second, inInitrd: true, systemModes: []int64{3 * second, 15 * second, 99 * second}}, moment{20 * second, true, ""}, true, record.PhaseSystem, "R4"},
		"initrd without systemd":                {marks{startup: 6 * second, systemModes: []int64{6 * second}}, moment{4 * second, true, "system"}, true, record.PhaseInitrd, "R3"},
		"initrd without systemd, only PID 1":    {marks{systemModes: []int64{6 * second}}, moment{4 * second, true, "system"}, true, record.PhaseInitrd, "R4"},
		"a tie by the kernel's clock":           {marks{systemModes: []int64{6 * second}}, moment{6 * second, true, "system"}, true, record.PhaseUnknown, ""},
		"start of the boot rotated away":        {marks{systemModes: []int64{6 * second}}, moment{9 * second, true, "system"}, false, record.PhaseUnknown, ""},
		"nothing but the scope system":          {marks{}, moment{9 * second, true, "system"}, true, record.PhaseUnknown, ""},
		"no source time":                        {systemd, moment{0, false, "system"}, true, record.PhaseUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if phase, rule := tt.marks.phase(tt.t, tt.start); phase != tt.phase || rule != tt.rule {
				t.Errorf("got %s %q, want %s %q", phase, rule, tt.phase, tt.rule)
			}
		})
	}
}

func TestLinesOfDracut(t *testing.T) {
	for text, want := range map[string]line{
		"Executing: /usr/bin/dracut -f /boot/i 6.4.0-1-default":                                {args: &arguments{words: []string{"/boot/i", "6.4.0-1-default"}}},
		"Executing: /usr/bin/dracut --force":                                                   {args: &arguments{}},
		"*** Including module: kernel-livepatch ***":                                           {module: "kernel-livepatch"},
		"*** Creating image file '/boot/initrd-x' ***":                                         {image: "/boot/initrd-x"},
		"*** Creating initramfs image file '/boot/initrd-x' done ***":                          {image: "/boot/initrd-x", success: true},
		"*** Including modules done ***":                                                       {},
		"-rw-r--r--   1 root root 7208 Nov 23 06:41 usr/lib/modules/6.1.0/livepatch/l-1_36.ko": {file: "l-1_36.ko", release: "6.1.0"},
		"-rw-r--r-- 1 root root 1 Nov 23 06:41 lib/modules/4.4.1-default/kgraft/k-1.ko.xz":     {file: "k-1.ko.xz", release: "4.4.1-default"},
		"drwxr-xr-x   2 root root 0 Nov 23 06:41 usr/lib/modules/6.1.0/livepatch":              {},
		"-rw-r--r--   1 root root 1 Nov 23 06:41 home/eve/modules/6.1.0/livepatch/l.ko":        {},
		"": {},
	} {
		got, _ := parseLine(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{}, arguments{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for message, want := range map[string]string{"dracut: *** x": "*** x", "dracut[I]: *** x": "*** x", "*** x": "*** x"} {
		if got := plainText(message); got != want {
			t.Errorf("%q: got %q", message, got)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("Executing: dracut --kver x")
	f.Add("-rw usr/lib/modules/6.1.0/livepatch/l-1_36.ko")
	f.Add("*** Creating initramfs image file '/x' done ***")
	f.Fuzz(func(t *testing.T, text string) {
		if l, ok := parseLine(plainText(text)); !ok && (l.success || l.file != "") {
			t.Errorf("%q: %+v", text, l)
		}
	})
}
