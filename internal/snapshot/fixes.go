package snapshot

import (
	"context"
	"fmt"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// Known are fixes of live patches that were read earlier, by rpm.Instance of their packages: a
// rebuilt package may have the same version, but another changelog.
type Known map[record.Package]record.Fixes

// KnownOf returns what a record knows: the fixes, by NEVRA, of packages that were installed when
// they were read.
func KnownOf(installed []record.Package, fixes map[string]record.Fixes) Known {
	known := Known{}
	for _, p := range Installed(installed) {
		if f, ok := fixes[p.NEVRA()]; ok {
			known[rpm.Instance(p)] = f
		}
	}
	return known
}

// recent is how many events Remembered looks at: the record may be long, and rpm knows the rest.
const recent = 64

// Remembered returns the newest fixes in a record, if this version of the program read them.
func Remembered(ctx context.Context, s *store.Store, version string) (Known, error) {
	last, err := s.LastFixes(ctx, recent)
	if err != nil || last == nil {
		return nil, err
	}
	return readBy(store.NewHeader("", "", version).Recorder, last), nil
}

// readBy returns fixes if this program read them: another version may interpret changelogs
// differently.
func readBy(program record.Program, r *record.RecordedFixes) Known {
	if r.Recorder != program {
		return nil
	}
	return KnownOf(r.Installed, r.Fixes)
}

// ReadFixes reads the changelogs of the installed live patches with these names.
func ReadFixes(ctx context.Context, db rpm.DB, names ...string) (Known, error) {
	logs, err := db.Changelogs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("reading changelogs of live patches: %w", err)
	}
	fixes := Known{}
	for p, text := range logs {
		fixes[p] = livepatch.ParseFixes(text)
	}
	return fixes, nil
}

// Fixes returns what the changelogs of the live patches among packages say, by NEVRA. It reads
// those that are not known. It never reads a kernel's changelog, which is huge and says nothing
// about live patches. On an error, the answer still contains the known ones.
func Fixes(ctx context.Context, db rpm.DB, installed []record.Package, known Known) (map[string]record.Fixes, error) {
	fixes := map[string]record.Fixes{}
	var left []string
	for _, p := range installed {
		if f, ok := known[rpm.Instance(p)]; ok {
			fixes[p.NEVRA()] = f
		} else if livepatch.KindOf(p.Name) == record.PackageLivepatch {
			left = append(left, p.Name)
		}
	}
	read, err := ReadFixes(ctx, db, left...)
	for _, p := range installed {
		if f, ok := read[rpm.Instance(p)]; ok {
			fixes[p.NEVRA()] = f
		}
	}
	return fixes, err
}
