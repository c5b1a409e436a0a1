package observe

import (
	"context"
	"fmt"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
)

// Boots reads the boots of a journal, oldest first; dir "" is the system's. boot is the id of the
// only one wanted, "" all.
func Boots(ctx context.Context, dir, boot string) (record.Journal, error) {
	j, err := journal.Read(ctx, dir, journal.Query{Boot: boot})
	if err != nil {
		return record.Journal{}, err
	}
	recorded := record.Journal{Boots: []record.Boot{}, Unread: []record.UnreadFile{}}
	for _, b := range j.Boots {
		recorded.Boots = append(recorded.Boots, b.Boot)
	}
	for _, u := range j.Unread {
		recorded.Unread = append(recorded.Unread, record.UnreadFile{Path: u.Path, Why: u.Err.Error()})
	}
	return recorded, nil
}

// JournalQuestion is the question for a verdict from a journal alone. Empty fields are determined:
// the last boot, its kernel, and the patch that was active at its end.
type JournalQuestion struct {
	Dir    string // journal directory
	Boot   string // boot id
	Kernel string // release
	Patch  string // module name
}

// JudgeJournal decides whether the initrd contained the patch at the end of the boot, from a
// journal alone. It looks at nothing of this machine.
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
