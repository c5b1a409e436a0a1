package journal

import (
	"errors"
	"fmt"
	"testing"
)

func TestKernelWarnings(t *testing.T) {
	const line = "_TRANSPORT=%s SYSLOG_IDENTIFIER=kernel SYSLOG_FACILITY=%d PRIORITY=%d | %s"
	says := func(level int, text string) string { return fmt.Sprintf(line, "kernel", 0, level, text) }
	entries := []string{
		linuxLine, says(4, "acpi: odd table"), says(3, "usb 1-1: device descriptor read"),
		says(4, "WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2"),
		says(1, "BUG: kernel NULL pointer dereference"),
		fmt.Sprintf(line, "kernel", 1, 2, "from /dev/kmsg"),
		fmt.Sprintf(line, "syslog", 0, 1, "from a user"),
	}
	got, err := KernelWarnings(t.Context(), written(t, entries...), testBoot)
	if err != nil || got.Count != 2 || len(got.Messages) != 2 || got.Messages[0].Text != "WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := KernelWarnings(t.Context(), written(t, entries...), "0000000000000000000000000000abcd"); !errors.Is(err, ErrNoBoot) {
		t.Errorf("of a boot that is not there: %v", err)
	}
	for i := range 25 {
		entries = append(entries, says(2, fmt.Sprint("warning ", i)))
	}
	got, err = KernelWarnings(t.Context(), written(t, entries...), testBoot)
	if err != nil || got.Count != 27 || len(got.Messages) != newestWarnings || got.Messages[19].Text != "warning 24" {
		t.Errorf("got %+v, %v", got, err)
	}
}
