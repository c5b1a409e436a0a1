package store_test

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// Left-over hashes of removed events do not block new events: those are recorded, and what was
// found stays on record.
func TestEventsGoOnAfterACut(t *testing.T) {
	for _, cut := range []string{
		`DELETE FROM events WHERE seq = 7`, `DELETE FROM events WHERE seq > 4`,
		`DELETE FROM events WHERE seq > 4; DELETE FROM hashes WHERE id > 8`,
		`INSERT INTO hashes SELECT max(id) + 1, zeroblob(32) FROM hashes`,
	} {
		root := sample(t)
		a := attack(t, root)
		exec(t, a, cut)
		check(t, a.Close())
		b := begin(20)
		write(t, root, b, end(21, b, record.OutcomeCompleted))
		if got := logged(t, root); got[len(got)-1] != "21" {
			t.Errorf("%s: logged %s", cut, got)
		}
		if v := verify(t, root, ""); v.Result == proof.Intact {
			t.Errorf("%s: intact", cut)
		}
	}
}
