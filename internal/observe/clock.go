package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// ClockSync reads whether the clock is synchronized: what the kernel was told (STA_UNSYNC of
// adjtimex(2)), and when the daemons last recorded success. The kernel can answer only for the
// running system, so it is not asked if root is another one.
func ClockSync(root string) (record.Clock, error) {
	if filepath.Join("/", root) != "/" {
		return clock(root, nil)
	}
	var t unix.Timex // modes 0: only read
	if _, err := unix.Adjtimex(&t); err != nil {
		return record.Clock{}, fmt.Errorf("asking the kernel for its clock: %w", err)
	}
	return clock(root, &t.Status)
}

// clock judges by the kernel's status, which is nil if not known.
func clock(root string, status *int32) (record.Clock, error) {
	c := record.Clock{Synced: "unknown", Source: "adjtimex"}
	for _, name := range []string{"/run/systemd/timesync/synchronized", "/var/lib/chrony/drift"} {
		info, err := rooted.Stat(root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return record.Clock{}, err
		}
		if err == nil && (c.LastSync == nil || info.ModTime().After(*c.LastSync)) {
			c.LastSync, c.LastFile = new(info.ModTime().UTC()), name
		}
	}
	_, noChrony := rooted.Stat(root, "/run/chrony")
	switch {
	case status == nil:
		c.Source = ""
	case *status&unix.STA_UNSYNC == 0:
		c.Synced = "yes"
	case noChrony == nil:
		// Without rtcsync in its configuration, chronyd never tells the kernel of success
		// (sys_timex.c of chrony).
		c.Source = "adjtimex, /run/chrony"
	default:
		c.Synced = "no"
	}
	return c, nil
}
