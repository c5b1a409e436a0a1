package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/sdjournal"
)

// read reads boots, oldest first, and says how many there are before any is skipped. It reads each
// boot only from the files that hold it, because libsystemd looks up everything in each file that
// it has open.
func (f *files) read(ctx context.Context, q Query) (boots []Boot, found int, err error) {
	if q.Last && q.Boot == "" {
		if q.Boot, err = f.lastBoot(); err != nil {
			return nil, 0, err
		}
	}
	holders, err := f.holders(strings.ToLower(q.Boot))
	if err != nil {
		return nil, 0, err
	}
	if q.Boot != "" && len(holders) > 1 {
		return nil, 0, fmt.Errorf("boot %q: %d boots begin with that", q.Boot, len(holders))
	}
	var open opened
	defer open.close()
	for _, id := range slices.SortedFunc(maps.Keys(holders), func(a, b string) int { return slices.Compare(holders[a], holders[b]) }) {
		b, err := f.readBoot(ctx, &open, id, holders[id], q.Skip)
		if err != nil {
			return nil, 0, fmt.Errorf("reading boot %q: %w", id, err)
		}
		if b.First.IsZero() {
			continue
		}
		found++
		if q.Skip == nil || !q.Skip(b) {
			boots = append(boots, b)
		}
	}
	slices.SortFunc(boots, func(a, b Boot) int { return a.First.Compare(b.First.Time) })
	return boots, found, nil
}

// each looks at the files one by one, and notes those where that meets damage.
func (f *files) each(look func(path string, j *sdjournal.Journal) error) error {
	return f.leaveOut(func(path string) error {
		j, err := openPaths(path)
		if err != nil {
			return err
		}
		defer j.Close()
		if err := look(path, j); err != nil {
			return err
		}
		used, err := j.GetUsage()
		if err == nil && dropped(used, []string{path}) {
			f.note(path, errDamaged)
		}
		return err
	})
}

// holders returns the files that hold the boots whose ids begin with prefix.
func (f *files) holders(prefix string) (map[string][]string, error) {
	boots := map[string][]string{}
	return boots, f.each(func(path string, j *sdjournal.Journal) error {
		ids, err := bootIDs(j, prefix)
		for _, id := range ids {
			boots[id] = append(boots[id], path)
		}
		return err
	})
}

// bootIDs returns the ids of a file's boots that begin with prefix. Looking for one is cheaper than
// listing them.
func bootIDs(j *sdjournal.Journal, prefix string) ([]string, error) {
	if isID(prefix) {
		b, err := bootEnds(j, prefix)
		if err != nil || b.First.IsZero() {
			return nil, err
		}
		return []string{prefix}, nil
	}
	ids, err := j.GetUniqueValues("_BOOT_ID")
	return slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, prefix) }), err
}

// lastBoot returns the id of the boot that the newest entry belongs to: the clock may have been
// wrong when the first entries of a boot were stored.
func (f *files) lastBoot() (last string, err error) {
	var end time.Time
	return last, f.each(func(_ string, j *sdjournal.Journal) error {
		if err := j.SeekTail(); err != nil {
			return err
		}
		if n, err := j.Previous(); err != nil || n == 0 {
			return err
		}
		t, err := received(j)
		if err != nil || t.Before(end) {
			return err
		}
		last, err = j.GetDataValue("_BOOT_ID")
		end = t
		return err
	})
}

// opened is the journal that was last read.
type opened struct {
	*sdjournal.Journal
	paths []string
}

// open opens a journal of these files, unless it is already open.
func (o *opened) open(paths []string) (err error) {
	if o.Journal != nil && slices.Equal(o.paths, paths) {
		return nil
	}
	o.close()
	o.paths = paths
	o.Journal, err = openPaths(paths...)
	return err
}

func (o *opened) close() {
	if o.Journal != nil {
		o.Close()
	}
	o.Journal = nil
}

// readBoot reads a boot from the files that hold it. Damage ends the reading of a file: either
// libsystemd silently drops the file, and what it gave until then is kept, or it fails, and the
// file is left out.
func (f *files) readBoot(ctx context.Context, open *opened, id string, paths []string, skip func(Boot) bool) (Boot, error) {
	for {
		b, whole, err := open.read(ctx, id, paths, skip)
		if whole || ctx.Err() != nil || err != nil && !ofFile(err) {
			return b, err
		}
		open.close() // it may have dropped a file
		sound := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
			var alone opened
			defer alone.close()
			_, whole, damage := alone.read(ctx, id, []string{path}, nil)
			if damage == nil && !whole {
				damage = errDamaged
			}
			if damage != nil {
				f.note(path, damage)
			}
			return damage != nil
		})
		if err == nil || len(sound) == len(paths) || ctx.Err() != nil {
			return b, err
		}
		paths = sound
	}
}

// read reads a boot, and says whether no file was dropped and each entry had its text.
func (o *opened) read(ctx context.Context, id string, paths []string, skip func(Boot) bool) (b Boot, whole bool, err error) {
	if err := o.open(paths); err != nil {
		return b, false, err
	}
	if b, err = bootEnds(o.Journal, id); err != nil {
		return b, false, err
	}
	whole = true
	if !b.First.IsZero() && (skip == nil || !skip(b)) {
		if whole, err = scanBoot(ctx, o.Journal, &b); err != nil {
			return b, false, err
		}
	}
	used, err := o.GetUsage()
	return b, whole && !dropped(used, paths), err
}

// dropped says whether libsystemd dropped a file, judged by the disk usage of those that it still
// has. A file that grew just now gives the same result, unless it is the only one.
func dropped(used uint64, paths []string) bool {
	if len(paths) == 1 {
		return used == 0 && usage(paths) > 0
	}
	return used != usage(paths)
}

// bootEnds finds the first and the last entry of a boot.
func bootEnds(j *sdjournal.Journal, id string) (b Boot, err error) {
	b = newBoot(id)
	j.FlushMatches()
	if err := j.AddMatch("_BOOT_ID=" + id); err != nil {
		return b, fmt.Errorf("want 32 hex digits: %w", err)
	}
	if err := j.SeekHead(); err != nil {
		return b, err
	}
	if n, err := j.Next(); err != nil || n == 0 {
		return b, err
	}
	if b.First.Time, err = received(j); err != nil {
		return b, err
	}
	if err := j.SeekTail(); err != nil {
		return b, err
	}
	n, err := j.Previous()
	if err == nil && n == 0 { // the file was dropped in between
		err = syscall.EBADMSG
	}
	if err != nil {
		return b, err
	}
	b.Last.Time, err = received(j)
	return b, err
}

func received(j source) (time.Time, error) {
	us, err := j.GetRealtimeUsec()
	return time.UnixMicro(int64(us)).UTC(), err
}
