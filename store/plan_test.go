package store

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
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

// Each page of a history begins where the previous one ended, and is read in order: a long history
// takes no longer for a row than a short one.
func TestPagesOfAHistoryAreRanges(t *testing.T) {
	root := t.TempDir()
	s, err := Open(t.Context(), root, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from, to := time.Unix(1, 0), time.Unix(2, 0)
	const behind, ahead = "(time,event,pos)<(?,?,?)", "(time,event,pos)>(?,?,?)"
	for _, tt := range []struct {
		filter       record.HistoryFilter
		first        string // how the first page is found
		newer, older string // and the next one, newest first and oldest first
	}{
		{record.HistoryFilter{}, "", "changes_time (" + behind, "changes_time (" + ahead},
		{record.HistoryFilter{Since: from}, "changes_time (time>?", "changes_time (time>? AND " + behind, "changes_time (" + ahead},
		{record.HistoryFilter{Until: to}, "changes_time (time<?", "changes_time (" + behind, "changes_time (" + ahead + " AND time<?"},
		{record.HistoryFilter{Since: from, Until: to}, "changes_time (time>? AND time<?", "changes_time (time>? AND " + behind, "changes_time (" + ahead + " AND time<?"},
		{record.HistoryFilter{Package: "kernel-*"}, "", "changes_time (" + behind, "changes_time (" + ahead},
		{record.HistoryFilter{Package: "kernel-default"}, "changes_package (package=?", "changes_package (package=? AND time<?", "changes_package (package=? AND time>?"},
		{record.HistoryFilter{Kind: "kernel", User: "tux"}, "", "changes_time (" + behind, "changes_time (" + ahead},
		{record.HistoryFilter{Action: "remove"}, "changes_action (action=?", "changes_action (action=? AND " + behind, "changes_action (action=? AND " + ahead},
		{record.HistoryFilter{Result: "failed", Until: to}, "changes_result (result=? AND time<?", "changes_result (result=? AND " + behind, "changes_result (result=? AND " + ahead + " AND time<?"},
		{record.HistoryFilter{Scripts: true, Since: from, Until: to}, "changes_scripts (time>? AND time<?", "changes_scripts (time>? AND " + behind, "changes_scripts (" + ahead + " AND time<?"},
		{record.HistoryFilter{Source: "drift", Since: from}, "changes_source (source=? AND time>?", "changes_source (source=? AND time>? AND " + behind, "changes_source (source=? AND " + ahead},
	} {
		for _, page := range []struct {
			last  *record.HistoryRow
			older bool
			want  string
		}{{nil, false, tt.first}, {nil, true, tt.first}, {&record.HistoryRow{}, false, tt.newer}, {&record.HistoryRow{}, true, tt.older}} {
			f := tt.filter
			f.OldestFirst = page.older
			query, args := historyQuery(f, 9, page.last)
			steps := plan(t, s.db, query, args)
			want := "SEARCH c USING INDEX " + page.want + ")\n"
			if page.want == "" {
				want = "SCAN c USING INDEX changes_time\n" // everything there is
			}
			if !strings.HasPrefix(steps, want) || strings.Contains(steps, "FOR ORDER BY") {
				t.Errorf("%+v, first page %v:\n%s\nwant %s", f, page.last == nil, steps, want)
			}
		}
	}
}

// grows matches a step that reads a table or an index that grows with the record from end to end.
var grows = regexp.MustCompile(`(?m)^SCAN (c|t|o|l|b|m|e|events|changes|commits|observations|boots|patch_loads|image_builds)\b`)

// Reports find their rows by an index, so that a long record takes no longer: no table that grows
// with the record is read from end to end.
func TestReportsReadRanges(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, query := range map[string]string{
		"state before": observations.before(), "state": observations.page(), "state after": observations.after(),
		"boots before": boots.before(), "boots": boots.page(), "boots after": boots.after(),
		"commits before": commits.before(), "commits": commits.page(), "commits after": commits.after(),
		"patch package": patchPackage, "first seen": firstSeen, "live patches": livePatches, "live patch begin": livePatchBegin,
		"patches seen": patchesSeen, "patch changes": patchChanges, "summary": summary, "commits open at": commitsOpenAt,
	} {
		args := make([]any, strings.Count(query, "?"))
		for i := range args { // ?1 may appear more than once
			if strings.Contains(query, "?1") && !strings.Contains(query, fmt.Sprint("?", i+1)) {
				args = args[:i]
				break
			}
		}
		steps := plan(t, s.db, query, args)
		// The newest end of a commit is at the end of an index, and few commits are in the index of
		// open ones.
		steps = strings.ReplaceAll(steps, "SCAN commits USING INDEX commits_open", "")
		newest := strings.Count(query, "ORDER BY end_time DESC, end_event DESC LIMIT 1")
		if n := len(grows.FindAllString(steps, -1)); n != newest {
			t.Errorf("%s:\n%s", name, steps)
		}
		// The next page begins where the last one ended, not where the table begins.
		if strings.Contains(query, "> (?, ?)") && !strings.Contains(steps, ">?") && !strings.Contains(steps, ">(?") {
			t.Errorf("%s has no lower bound:\n%s", name, steps)
		}
	}
}
