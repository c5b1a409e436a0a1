package journal

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// newestWarnings is how many warnings are shown; all are counted.
const newestWarnings = 20

// KernelWarnings reads what the kernel complained about in a boot from a journal (see Boots for
// dir): its messages of level 2 and worse (BUG and Oops among them), and those of WARN() in its
// code. It returns the newest 20, oldest first. Errors of devices and firmware, level 3, are left
// out: a healthy machine has some.
func KernelWarnings(ctx context.Context, dir, boot string) (record.Warnings, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := record.Warnings{Messages: []record.Warning{}}
	f, err := findFiles(dir)
	if err != nil {
		return w, err
	}
	j, err := f.open()
	if err != nil {
		return w, err
	}
	defer j.Close()
	b, err := bootEnds(j, boot)
	switch {
	case err != nil:
		return w, err
	case b.First.IsZero():
		return w, fmt.Errorf("boot %q: %w", boot, ErrNoBoot)
	case len(f.unread) > 0:
		return w, fmt.Errorf("reading %q: %w", f.unread[0].Path, f.unread[0].Err)
	}
	w.Since = &b.First
	j.FlushMatches()
	for _, m := range []string{"_BOOT_ID=" + boot, "_TRANSPORT=kernel", "PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=4"} {
		if err := j.AddMatch(m); err != nil {
			return w, fmt.Errorf("boot %q: %w", boot, err)
		}
	}
	if err := j.SeekHead(); err != nil {
		return w, err
	}
	for ctx.Err() == nil {
		if more, err := j.Next(); err != nil || more == 0 {
			return w, err
		}
		if err := takeWarning(&w, fields{j}); err != nil {
			return w, err
		}
	}
	return w, ctx.Err()
}

// takeWarning takes an entry if it is a warning.
func takeWarning(w *record.Warnings, f fields) error {
	message := f.get("MESSAGE")
	level, err := strconv.Atoi(f.get("PRIORITY"))
	if err != nil || level > 2 && !strings.HasPrefix(message, "WARNING: ") || !fromKernel(f) {
		return nil
	}
	e, err := f.entry(message)
	if err != nil {
		return err
	}
	w.Count++
	if len(w.Messages) == newestWarnings {
		w.Messages = slices.Delete(w.Messages, 0, 1)
	}
	w.Messages = append(w.Messages, record.Warning{Time: record.AtOrNil(e.Time), Text: e.Message, Cursor: e.Cursor})
	return nil
}
