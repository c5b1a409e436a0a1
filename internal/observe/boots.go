package observe

import (
	"context"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
)

// Boots reads the boots of a journal, oldest first; dir "" is the system's. boot is the id
// of the only one that is wanted, "" all.
func Boots(ctx context.Context, dir, boot string) (record.Journal, error) {
	j, err := journal.Read(ctx, dir, journal.Query{Boot: boot})
	if err != nil {
		return record.Journal{}, err
	}
	recorded := record.Journal{Boots: []record.Boot{}, Unread: []record.UnreadFile{}}
	for _, b := range j.Boots {
		recorded.Boots = append(recorded.Boots, Row(b))
	}
	for _, u := range j.Unread {
		recorded.Unread = append(recorded.Unread, record.UnreadFile{Path: u.Path, Why: u.Err.Error()})
	}
	return recorded, nil
}

// Row is a boot as it is kept and shown.
func Row(b journal.Boot) record.Boot {
	r := record.Boot{
		ID: b.ID, KernelRelease: b.KernelRelease, First: record.At(b.First), Last: record.At(b.Last),
		StartInJournal: b.StartInJournal, MessagesLost: b.MessagesLost, Incomplete: len(b.Unread) > 0,
		Loads: []record.Load{}, Builds: []record.Build{},
	}
	for _, l := range b.Loads {
		load := record.Load{
			Patch: l.Patch, Phase: string(l.Phase), Rule: l.Rule, Result: string(l.Result), Forced: l.Forced,
			Time: record.At(l.Time), Replaced: l.Replaced, Cursor: l.Cursor,
			Completed: stampOrNil(l.Completed), Reverted: stampOrNil(l.Reverted), Disabled: stampOrNil(l.Disabled),
		}
		r.Loads = append(r.Loads, load)
	}
	for _, build := range b.Builds {
		files := []string{}
		for _, m := range build.Modules {
			files = append(files, m.File)
		}
		r.Builds = append(r.Builds, record.Build{
			KernelRelease: build.KernelRelease, Image: build.Image, Modules: files, Success: build.Success,
			Time: record.At(build.Time), Cursor: build.Cursor,
		})
	}
	return r
}

func stampOrNil(t *time.Time) *record.Timestamp {
	if t == nil {
		return nil
	}
	return record.AtOrNil(*t)
}

// JournalQuestion says what a verdict from a journal alone is asked about. Empty fields
// are found out: the last boot, its kernel, and the patch that was active at its end.
type JournalQuestion struct {
	Dir    string // journal directory
	Boot   string // boot id
	Kernel string // release
	Patch  string // module name
}

// JudgeJournal decides whether the initrd held the patch at the end of the boot, from a
// journal alone. Nothing of the machine is looked at.
func JudgeJournal(ctx context.Context, q JournalQuestion) (record.Initrd, error) {
	boots, err := journal.Boots(ctx, q.Dir, journal.Query{Boot: q.Boot, Last: q.Boot == ""})
	if err != nil {
		return record.Initrd{}, err
	}
	if len(boots) == 0 {
		return record.Initrd{}, fmt.Errorf("journal %q: no boot in it", q.Dir)
	}
	return verdict.JudgeBoot(boots[len(boots)-1], q.Kernel, q.Patch), nil
}
