package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Clock says whether the clock is kept in step with a time source.
type Clock struct {
	Synced   string     `json:"synced"` // yes, no, unknown
	Source   string     `json:"source"` // what says so
	LastSync *time.Time `json:"last_sync"`
	LastFile string     `json:"last_sync_file"` // whose time of writing that is
}

// ClockSync reads whether the clock is synchronised: what the kernel was told (STA_UNSYNC of
// adjtimex(2)), and when the daemons last wrote of success. The kernel can be asked only of
// the running system, so not when root is another one.
func ClockSync(root string) (Clock, error) {
	if filepath.Join("/", root) != "/" {
		return clock(root, nil)
	}
	var t unix.Timex // modes 0: only read
	if _, err := unix.Adjtimex(&t); err != nil {
		return Clock{}, fmt.Errorf("asking the kernel for its clock: %w", err)
	}
	return clock(root, &t.Status)
}

// clock judges by the kernel's status, nil if it is not known.
func clock(root string, status *int32) (Clock, error) {
	c := Clock{Synced: "unknown", Source: "adjtimex"}
	for _, name := range []string{"/run/systemd/timesync/synchronized", "/var/lib/chrony/drift"} {
		info, err := rooted.Stat(root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Clock{}, err
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
		// Without rtcsync in its configuration chronyd never tells the kernel of success
		// (sys_timex.c of chrony).
		c.Source = "adjtimex, /run/chrony"
	default:
		c.Synced = "no"
	}
	return c, nil
}
