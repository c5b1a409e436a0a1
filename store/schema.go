package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

//go:embed schema.sql
var logSchema string

// Schema is the version of the views. An older one is rebuilt from the events, a newer one is refused.
const Schema = views.Schema

// ApplicationID marks a SQLite database as a record, in its header: "KLPA".
const ApplicationID = 0x4b4c5041

// Whoever can write to the file can put anything into it: an endless view instead of the events,
// triggers, indexes that find something else. So the tables are checked before anything is read
// from them, and only a database that is a record to the letter is used as one.

// layout is the structure of a database.
type layout struct {
	app, version int
	cookie       int64 // SQLite's schema version, which changes with the tables
	digest       string
	objects      map[string]string // their SQL by kind, name and table: "trigger events_no_update events"
}

// maxObjects is more than a record has. Nobody needs to know how many more there are.
const maxObjects = 500

// layoutOf reads the structure of a database without reading any of its tables.
func layoutOf(ctx context.Context, q sqlite.Querier) (*layout, error) {
	for {
		l, err := readOnce(ctx, q)
		if err != nil {
			return nil, err
		}
		var cookie int64
		if err := q.QueryRowContext(ctx, `PRAGMA main.schema_version`).Scan(&cookie); err != nil {
			return nil, sqlite.Classify(err)
		}
		if cookie == l.cookie {
			return l, nil
		} // else somebody changed it meanwhile, or has just created it
	}
}

func readOnce(ctx context.Context, q sqlite.Querier) (*layout, error) {
	l := &layout{objects: map[string]string{}}
	// Statements, not functions: a view could have the name of a function.
	for _, p := range []struct {
		name string
		into any
	}{{"schema_version", &l.cookie}, {"application_id", &l.app}, {"user_version", &l.version}} {
		if err := q.QueryRowContext(ctx, `PRAGMA main.`+p.name).Scan(p.into); err != nil {
			return nil, sqlite.Classify(err)
		}
	}
	// The counter table of AUTOINCREMENT stays for ever once there was such a table.
	sum := sha256.New()
	err := sqlite.EachRow(ctx, q, `SELECT type || ' ' || name || ' ' || tbl_name, coalesce(sql, '') FROM main.sqlite_schema
		WHERE name <> 'sqlite_sequence' ORDER BY 1 LIMIT ?`, []any{maxObjects}, func(c *sqlite.Cells) {
		name, text := c.Text(), string(c.Bytes())
		l.objects[name] = text
		sum.Write([]byte(name + "\x00" + text + "\x00"))
	})
	l.digest = hex.EncodeToString(sum.Sum(nil))
	return l, err
}

// empty says whether the database is still empty.
func (l *layout) empty() bool { return l.app == 0 && l.version == 0 && len(l.objects) == 0 }

// exact says whether this is a record of this version, to the letter.
func (l *layout) exact() bool {
	return l.app == ApplicationID && l.version == Schema && l.digest == views.Digest
}

// usable says why the events cannot be read from this database.
func (l *layout) usable() error {
	if l.app != ApplicationID {
		return fmt.Errorf("%w: it is a database of another program", ErrDamaged)
	}
	for _, table := range []string{"events", "hashes", "checkpoint"} {
		if want := tableSQL(logSchema, table); l.objects["table "+table+" "+table] != want {
			return fmt.Errorf("%w: its table %q is missing or different", ErrDamaged, table)
		}
	}
	return nil
}

// newer says whether a newer program wrote this. Its views are unknown here, but its log is known.
func (l *layout) newer() bool { return l.version > Schema }

// hasView says whether a view is the table that this version makes.
func (l *layout) hasView(name string) bool {
	return l.objects["table "+name+" "+name] == tableSQL(views.SQL, name)
}

// tableSQL cuts the statement that creates a table out of a schema, in the form that SQLite stores.
func tableSQL(schema, table string) string {
	_, rest, _ := strings.Cut(schema, "CREATE TABLE "+table+" (")
	body, _, _ := strings.Cut(rest, " STRICT;")
	return "CREATE TABLE " + table + " (" + body + " STRICT"
}

// released returns the objects of a record of this version, nil if no release wrote it.
func released(ctx context.Context, version int) (map[string]string, error) {
	tables, ok := views.Layouts[version]
	switch {
	case version >= Schema: // for a newer one only the log matters
		tables = views.SQL
	case !ok:
		return nil, nil
	}
	fresh, err := sqlite.OpenMemory()
	if err != nil {
		return nil, err
	}
	defer fresh.Close()
	if _, err := fresh.ExecContext(ctx, logSchema+tables); err != nil {
		return nil, err
	}
	l, err := layoutOf(ctx, fresh)
	if err != nil {
		return nil, err
	}
	return l.objects, nil
}

// differences lists how the objects differ from those of a record of its version.
func (l *layout) differences(ctx context.Context) (list []string, err error) {
	if l.exact() {
		return nil, nil
	}
	want, err := released(ctx, l.version)
	if err != nil {
		return nil, err
	}
	if want == nil {
		list = append(list, fmt.Sprintf("the version of its tables is %d, which no klp-audit up to this one writes", l.version))
		if want, err = released(ctx, Schema); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if l.objects[name] != want[name] && l.judged(name) {
			list = append(list, fmt.Sprintf("the %s is missing or different", shortName(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.objects)) {
		if _, ok := want[name]; !ok && l.judged(name) {
			list = append(list, fmt.Sprintf("the %q does not belong to a record", shortName(name)))
		}
	}
	return list, nil
}

// judged says whether it is known what an object must be: in a newer record only what belongs to
// the log.
func (l *layout) judged(name string) bool { return !l.newer() || ofLog(name) }

// ofLog says whether an object belongs to a table of the log or its proof.
func ofLog(name string) bool {
	return slices.Contains([]string{"events", "hashes", "checkpoint"}, name[strings.LastIndexByte(name, ' ')+1:])
}

// shortName returns an object's kind and name, without its table, which would not help the reader.
func shortName(object string) string { return object[:strings.LastIndexByte(object, ' ')] }

// repair restores a record's own triggers and indexes, and removes what does not belong in it. The
// caller must rebuild the views.
func (l *layout) repair(ctx context.Context, tx *sql.Tx) error {
	want, err := released(ctx, Schema)
	if err != nil {
		return err
	}
	for _, kind := range []string{"trigger", "view", "index", "table"} {
		for _, name := range slices.Sorted(maps.Keys(l.objects)) {
			f := strings.SplitN(name, " ", 2)
			if f[0] != kind || want[name] == l.objects[name] || l.objects[name] == "" {
				continue
			}
			quoted := `"` + strings.ReplaceAll(strings.TrimPrefix(shortName(name), kind+" "), `"`, `""`) + `"`
			if _, err := tx.ExecContext(ctx, `DROP `+kind+` IF EXISTS `+quoted); err != nil {
				return fmt.Errorf("%w: removing %s: %w", ErrDamaged, quoted, err)
			}
		}
	}
	for _, kind := range []string{"index", "trigger"} {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !strings.HasPrefix(name, kind+" ") || !ofLog(name) || want[name] == "" || l.objects[name] == want[name] {
				continue
			}
			if _, err := tx.ExecContext(ctx, want[name]); err != nil {
				return fmt.Errorf("%w: recreating the %s: %w", ErrDamaged, shortName(name), err)
			}
		}
	}
	return nil
}

var errNothingThere = errors.New("an empty database")

// readLayout reads the structure of a database and returns why it cannot be used.
func readLayout(ctx context.Context, q sqlite.Querier) (*layout, error) {
	l, err := layoutOf(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case l.empty():
		return l, errNothingThere
	}
	if err := l.usable(); err != nil {
		return l, err
	}
	if l.version > Schema {
		return l, fmt.Errorf("%w: its schema is %d, this program knows %d", ErrNewer, l.version, Schema)
	}
	return l, nil
}
