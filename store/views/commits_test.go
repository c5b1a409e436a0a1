package views

import (
	"regexp"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// plan returns how SQLite runs a query, one step a line.
func plan(t *testing.T, db *sqlite.DB, query string, args []any) string {
	t.Helper()
	steps, err := sqlite.ReadRows(t.Context(), db, "EXPLAIN QUERY PLAN "+query, args, func(c *sqlite.Cells) string {
		c.Number() // id of the step
		c.Number() // id of the step that it is part of
		c.Number() // unused
		return c.Text()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

// grows matches a step that reads a table or an index that grows with the record from end to end.
var grows = regexp.MustCompile(`(?m)^SCAN (c|t|o|l|b|m|e|events|changes|commits|observations|boots|patch_loads|image_builds)\b`)

// Every observation of a booted snapshot looks for staged commits, even while a long record is
// rebuilt.
func TestSettlingBeginsWithStagedCommits(t *testing.T) {
	db := empty(t)
	ev := &record.Event{Header: record.Header{Kind: record.KindObservation}, Observation: &record.Observation{Subvolume: "/@/.snapshots/6/snapshot"}}
	for _, m := range applyBooted(view.Of(1, ev)) {
		if steps := plan(t, db, m.query, m.args); grows.MatchString(strings.ReplaceAll(steps, "SCAN t", "")) || strings.Contains(steps, "changes_result") ||
			strings.Contains(steps, "commits_end") || !strings.Contains(steps, "SEARCH commits USING INDEX commits_staged") {
			t.Error(steps)
		}
	}
}
