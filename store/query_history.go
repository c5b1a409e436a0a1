package store

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

// outcomeThen is the outcome of commit t as the first ?1 events tell it; later events are ignored.
const outcomeThen = "CASE WHEN t.end_event > ?1 THEN NULL WHEN t.settled_event > ?1 THEN 'staged' ELSE t.outcome END"

// commitColumns are what a history shows of commit t, which change c belongs to, according to ?1
// events.
var commitColumns = []views.Column{
	{Name: outcomeThen,
		Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Outcome = (*record.Outcome)(c.TextOrNil()) }},
	{Name: "t.login", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.Login = c.TextOrNil() }},
	{Name: "t.sudo_user", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.SudoUser = c.TextOrNil() }},
	{Name: "t.exe", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.Exe = c.TextOrNil() }},
	{Name: "t.tty", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.TTY = c.TextOrNil() }},
	{Name: "t.session", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.Session = c.TextOrNil() }},
	{Name: "t.automation", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Actor.Automation = c.TextOrNil() }},
	{Name: "t.command", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.Command = c.TextOrNil() }},
	{Name: "t.userdata", Show: func(c *sqlite.Cells, r *record.HistoryRow) { r.UserData = c.TextOrNil() }},
}

// historyColumns are the columns of a history.
var historyColumns = shown()

func shown() (columns []views.Column) {
	for _, c := range views.ChangeColumns {
		if c.Show != nil {
			c.Name = "c." + c.Name
			columns = append(columns, c)
		}
	}
	return append(columns, commitColumns...)
}

var selectHistory = "SELECT " + views.Names(historyColumns) + " FROM changes c LEFT JOIN commits t ON t.id = c.commit_id"

// History yields the changes that the filter selects, newest first unless it says otherwise. It
// reads page by page, and ignores events added meanwhile.
func (s *Store) History(ctx context.Context, f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error] {
	return f.Sift(func(f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error] { return s.history(ctx, f) })
}

func (s *Store) history(ctx context.Context, f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error] {
	return func(yield func(*record.HistoryRow, error) bool) {
		size, err := f.Events, error(nil)
		if size == 0 {
			size, err = s.Size(ctx)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		rest := f
		sqlite.RowsOf(sqlite.Ahead(sqlite.Pages(nil, func(last *record.HistoryRow) ([]*record.HistoryRow, bool, error) {
			query, args := historyQuery(rest, size, last)
			page, err := sqlite.ReadRows(ctx, s.db, query, args, historyRow)
			rest.Limit -= len(page)
			return page, len(page) == sqlite.PageSize && rest.Limit != 0, err
		})))(yield)
	}
}

// historyQuery asks for a page that starts after last.
func historyQuery(f record.HistoryFilter, size int64, last *record.HistoryRow) (string, []any) {
	where, args := historyWhere(f, size, last)
	order := " ORDER BY c.time DESC, c.event DESC, c.pos DESC"
	if f.OldestFirst {
		order = " ORDER BY c.time, c.event, c.pos"
	}
	limit := int64(sqlite.PageSize)
	if f.Limit > 0 {
		limit = min(limit, int64(f.Limit))
	}
	return selectHistory + where + order + " LIMIT ?", slices.Concat([]any{size}, args, []any{limit})
}

// historyWhere returns the conditions for a page that starts after last.
func historyWhere(f record.HistoryFilter, size int64, last *record.HistoryRow) (string, []any) {
	// An announced change is shown until its commit ends, according to those events.
	conds, args := []string{"c.event <= ?", "(c.event IS NOT t.begin_event OR t.end_event IS NULL OR t.end_event > ?)"}, []any{size, size}
	add := func(cond string, values ...any) { conds, args = append(conds, cond), append(args, values...) }
	// After the first page, the last row replaces the bound at that end: SQLite would start each
	// page from the bound again.
	if !f.Since.IsZero() && (last == nil || !f.OldestFirst) {
		add("c.time >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() && (last == nil || f.OldestFirst) {
		add("c.time < ?", f.Until.UnixMicro())
	}
	packageIs := "c.package = ?"
	if record.IsPattern(f.Package) {
		packageIs = "+c.package GLOB ?" // the + keeps the order of time: with the index of names, each page would be sorted
	}
	for _, eq := range []struct{ cond, value string }{
		{packageIs, f.Package}, {"c.kind = ?", string(f.Kind)}, {"c.action = ?", string(f.Action)},
		{"c.result = ?", string(f.Result)}, {"c.source = ?", string(f.Source)},
	} {
		if eq.value != "" {
			add(eq.cond, eq.value)
		}
	}
	if f.Scripts {
		add("c.scripts <> '[]'")
	}
	commitWhere(f, add)
	if last != nil {
		op := "<"
		if f.OldestFirst {
			op = ">"
		}
		add("(c.time, c.event, c.pos) "+op+" (?, ?, ?)", last.Time.UnixMicro(), last.Event, last.Pos)
	}
	return " WHERE " + strings.Join(conds, " AND "), args
}

// commitWhere adds the conditions on the commit of a change.
func commitWhere(f record.HistoryFilter, add func(cond string, values ...any)) {
	// This also finds text that itself contains pattern characters.
	fits := func(pattern string, columns ...string) {
		var conds []string
		var values []any
		for _, column := range columns {
			conds, values = append(conds, column+" = ?"), append(values, pattern)
			if record.IsPattern(pattern) {
				conds, values = append(conds, column+" GLOB ?"), append(values, pattern)
			}
		}
		add("("+strings.Join(conds, " OR ")+")", values...)
	}
	if f.User != "" {
		fits(f.User, "t.login", "t.sudo_user", "t.automation")
	}
	if f.Command != "" {
		fits(f.Command, "t.command")
	}
	switch f.UserData {
	case "":
	case record.NoUserData:
		add("coalesce(t.userdata, '') = ''")
	default:
		fits(f.UserData, "t.userdata")
	}
	if f.Outcome != "" {
		add(outcomeThen+" = ?", string(f.Outcome))
	}
}

func historyRow(c *sqlite.Cells) *record.HistoryRow {
	var r record.HistoryRow
	for i := range historyColumns {
		historyColumns[i].Show(c, &r)
	}
	return &r
}
