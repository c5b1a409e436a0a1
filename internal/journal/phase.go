package journal

import (
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// tolerance is how far two clocks may differ: kernel lines have the printk clock, systemd's have
// CLOCK_MONOTONIC at reception. In microseconds; up to 50,000 were measured.
const tolerance = 100_000

// moment is when the kernel wrote a line, and which journald received it.
type moment struct {
	source int64 // _SOURCE_MONOTONIC_TIMESTAMP, microseconds of the printk clock
	known  bool
	scope  string // _RUNTIME_SCOPE of systemd 252 and later: initrd, system
}

// marks are the moments of a boot that separate the initrd from the real root, in microseconds
// since boot; 0: not in the journal.
type marks struct {
	switchRoot  int64   // "Switching root.": the end of the initrd, CLOCK_MONOTONIC
	startup     int64   // KERNEL_USEC + INITRD_USEC: the start of the real root's PID 1
	inInitrd    bool    // a systemd ran in the initrd
	systemModes []int64 // "running in system mode", printk clock: of the initrd's PID 1, then the real root's
}

// take takes a line of PID 1.
func (m *marks) take(f fields, message string) {
	switch {
	case f.get("MESSAGE_ID") == idStartupFinished:
		m.takeStartup(f)
	case message == "Switching root." || f.get("UNIT") != "" && endsInitrd(f):
		m.takeSwitch(f)
	case f.get("_TRANSPORT") != "kernel":
		return
	case strings.HasPrefix(message, "Running in init"): // "initrd." or, up to 247, "initial RAM disk."
		m.inInitrd = true
	case strings.HasPrefix(message, "systemd ") && strings.Contains(message, "running in system mode"):
		if src, ok := f.number("_SOURCE_MONOTONIC_TIMESTAMP"); ok {
			m.systemModes = append(m.systemModes, src)
		}
	}
}

// endsInitrd says whether an entry is about the unit that switches to the real root.
func endsInitrd(f fields) bool {
	switch f.get("MESSAGE_ID") {
	case idUnitStarting:
		return f.get("UNIT") == "initrd-switch-root.service"
	case idUnitStarted:
		return f.get("UNIT") == "initrd-switch-root.target" && f.get("JOB_RESULT") == "done"
	}
	return false
}

// takeStartup reads "Startup finished"; a soft reboot has one, too, without KERNEL_USEC.
func (m *marks) takeStartup(f fields) {
	kernel, ok := f.number("KERNEL_USEC")
	if !ok || m.startup != 0 {
		return
	}
	initrd, _ := f.number("INITRD_USEC") // absent without a systemd in the initrd
	m.startup = kernel + initrd
}

// takeSwitch keeps the latest moment that still belongs to the first switch: unit lines precede
// "Switching root." itself, which may be a kernel line.
func (m *marks) takeSwitch(f fields) {
	us, ok := f.number("_SOURCE_MONOTONIC_TIMESTAMP")
	if !ok {
		mono, err := f.j.GetMonotonicUsec()
		if us = int64(mono); err != nil {
			return
		}
	}
	if m.switchRoot == 0 || f.get("MESSAGE") == "Switching root." && !m.switched() {
		m.switchRoot = us
	}
}

// switched says whether the real root's PID 1 has written a line.
func (m *marks) switched() bool { return len(m.systemModes) > 1 }

// realRoot is when the real root's PID 1 wrote its first line, by the kernel's own clock.
func (m *marks) realRoot(start bool) (us int64, ok bool) {
	switch {
	case !start: // the initrd's line may be missing, so counting lines proves nothing
		return 0, false
	case m.inInitrd && len(m.systemModes) > 1:
		return m.systemModes[1], true
	case !m.inInitrd && len(m.systemModes) > 0 && m.switchRoot == 0:
		return m.systemModes[0], true
	}
	return 0, false
}

// phase decides where a line was written, by the first rule that can.
//
//	R1  the initrd's journald received it
//	R2  before "Switching root."
//	R3  before, or after, the real root's PID 1 started, according to "Startup finished"
//	R4  before, or after, that PID 1's first line, by the kernel's own clock
//
// Between "Switching root." and the real root's first line, it is undecided. That the real root's
// journald received a line proves nothing: it also takes lines written before it started.
func (m *marks) phase(t moment, start bool) (record.Phase, string) {
	if t.scope == "initrd" {
		return record.PhaseInitrd, "R1"
	}
	if !t.known {
		return record.PhaseUnknown, ""
	}
	if m.switchRoot > 0 && t.source+tolerance < m.switchRoot {
		return record.PhaseInitrd, "R2"
	}
	if m.startup > 0 && t.source > m.startup+tolerance {
		return record.PhaseSystem, "R3"
	}
	if m.startup > 0 && m.switchRoot == 0 && t.source+tolerance < m.startup {
		return record.PhaseInitrd, "R3"
	}
	if real, ok := m.realRoot(start); ok {
		switch {
		case t.source > real:
			return record.PhaseSystem, "R4"
		case t.source < real && m.switchRoot == 0:
			return record.PhaseInitrd, "R4"
		}
	}
	return record.PhaseUnknown, ""
}
