package pg_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
)

// forbidden are queries for what tables cannot have that are distributed by log, or must not have so
// that they behave the same there. Each gives texts.
var forbidden = []string{
	// A unique index stands behind each primary key and unique constraint, too.
	`select format('key %s of %s does not begin with log', i.indexrelid::regclass, i.indrelid::regclass)
		from pg_index i join pg_class c on c.oid = i.indrelid left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
		where i.indisunique and c.relnamespace = $1 and a.attname is distinct from 'log'`,
	`select format('exclusion constraint %s of %s', conname, conrelid::regclass) from pg_constraint where connamespace = $1 and contype = 'x'`,
	`select format('foreign key %s of %s', conname, conrelid::regclass) from pg_constraint where connamespace = $1 and contype = 'f'`,
	`select format('table %s has no column log that is never null', c.oid::regclass) from pg_class c where c.relnamespace = $1 and c.relkind in ('r', 'p')
		and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'log' and a.attnotnull)`,
	`select format('sequence %s', oid::regclass) from pg_class where relnamespace = $1 and relkind = 'S'`,
	`select format('unlogged %s', oid::regclass) from pg_class where relnamespace = $1 and relpersistence <> 'p'`,
	`select format('foreign table %s', oid::regclass) from pg_class where relnamespace = $1 and relkind = 'f'`,
	`select format('table %s inherits, and is no partition', c.oid::regclass) from pg_class c join pg_inherits i on i.inhrelid = c.oid
		where c.relnamespace = $1 and c.relkind = 'r' and not c.relispartition`,
	`select format('identity column %s of %s', a.attname, c.oid::regclass) from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = $1 and a.attidentity <> ''`,
	`select format('default of %s: %s', c.oid::regclass, pg_get_expr(d.adbin, d.adrelid)) from pg_class c join pg_attrdef d on d.adrelid = c.oid
		where c.relnamespace = $1 and pg_get_expr(d.adbin, d.adrelid) ~* '(\mnow|clock_timestamp|statement_timestamp|timeofday|random|gen_random_uuid|nextval)\(|current_|localtime'`,
	`select format('trigger %s of %s', tgname, tgrelid::regclass) from pg_trigger t join pg_class c on c.oid = t.tgrelid
		where c.relnamespace = $1 and not t.tgisinternal`,
	`select format('rule %s of %s', r.rulename, c.oid::regclass) from pg_rewrite r join pg_class c on c.oid = r.ev_class
		where c.relnamespace = $1 and r.rulename <> '_RETURN'`,
	`select format('view %s is not security_invoker: it goes around row security', oid::regclass) from pg_class
		where relnamespace = $1 and relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions) or 'security_invoker=on' = any (reloptions), false)`,
	`select format('policy %s of %s is restrictive: shards take it for permissive', polname, polrelid::regclass) from pg_policy p join pg_class c on c.oid = p.polrelid
		where c.relnamespace = $1 and not p.polpermissive`,
	`select format('policy %s of %s has a subquery', polname, polrelid::regclass) from pg_policy p join pg_class c on c.oid = p.polrelid
		where c.relnamespace = $1 and concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~* '\mselect\M'`,
	`select format('more than one policy of %s', p.polrelid::regclass) from pg_policy p join pg_class c on c.oid = p.polrelid
		where c.relnamespace = $1 group by p.polrelid having count(*) > 1`,
	`select format('function %s asks for the time, or for chance', oid::regprocedure) from pg_proc where pronamespace = $1
		and prosrc ~* '(\mnow|clock_timestamp|statement_timestamp|timeofday|random|gen_random_uuid|nextval)\s*\(|current_(timestamp|date|time\M)|localtime'`,
	`select format('function %s writes, and its first argument is not p_log', oid::regprocedure) from pg_proc where pronamespace = $1
		and prosrc ~* '\m(insert|update|delete)\M' and proargnames[1] is distinct from 'p_log'`,
}

// faults returns what a schema must not have.
func faults(t *testing.T, conn *pgx.Conn) (found []string) {
	t.Helper()
	var schema uint32
	check(t, conn.QueryRow(t.Context(), `select oid from pg_namespace where nspname = current_schema()`).Scan(&schema))
	for _, query := range forbidden {
		rows, err := conn.Query(t.Context(), query, schema)
		check(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		found = append(found, list...)
	}
	return slices.DeleteFunc(found, func(s string) bool { return s == "table schema_version has no column log that is never null" }) // tern's
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// The tables can be distributed by log: one program runs on one server and on many.
func TestTablesCanBeDistributed(t *testing.T) {
	dsn := pgtest.DSN(t)
	_, _, err := pg.Migrate(t.Context(), dsn)
	check(t, err)
	for _, fault := range faults(t, open(t, dsn)) {
		t.Error(fault)
	}
}

// Whatever cannot be distributed is found.
func TestWhatCannotBeDistributedIsFound(t *testing.T) {
	conn := open(t, pgtest.DSN(t))
	for _, c := range []struct{ sql, want string }{
		{`create table other (name text not null)`, "table other has no column log that is never null"},
		{`create table nullable (log uuid)`, "table nullable has no column log that is never null"},
		{`create table keyed (name text, log uuid not null, primary key (name, log))`, "key keyed_pkey of keyed does not begin with log"},
		{`create table named (log uuid primary key, name text unique)`, "key named_name_key of named does not begin with log"},
		{`create table ix (log uuid not null, name text); create unique index on ix (lower(name), log)`, "key ix_lower_log_idx of ix does not begin with log"},
		{`create table excluded (log uuid primary key, during tstzrange, exclude using gist (during with &&))`, "exclusion constraint excluded_during_excl of excluded"},
		{`create table parent (log uuid primary key); create table child (log uuid primary key references parent)`, "foreign key child_log_fkey of child"},
		{`create table numbered (log uuid primary key, n bigserial)`, "sequence numbered_n_seq"},
		{`create table identity (log uuid primary key, n bigint generated always as identity)`, "identity column n of identity"},
		{`create unlogged table volatile (log uuid primary key)`, "unlogged volatile"},
		{`create table dated (log uuid primary key, at timestamptz default now())`, "default of dated: now()"},
		{`create table base (log uuid not null); create table heir () inherits (base)`, "table heir inherits, and is no partition"},
		{`create table watched (log uuid primary key);
			create function watch() returns trigger language plpgsql as 'begin return new; end';
			create trigger watch before insert on watched for each row execute function watch()`, "trigger watch of watched"},
		{`create table ruled (log uuid primary key); create rule nothing as on delete to ruled do instead nothing`, "rule nothing of ruled"},
		{`create table seen (log uuid primary key); create view sees as select log from seen`, "view sees is not security_invoker: it goes around row security"},
		{`create table strict (log uuid primary key); create policy p on strict as restrictive using (true)`, "policy p of strict is restrictive: shards take it for permissive"},
		{`create table asks (log uuid primary key); create policy p on asks using (log in (select log from asks))`, "policy p of asks has a subquery"},
		{`create table two (log uuid primary key); create policy p on two using (true); create policy q on two using (true)`, "more than one policy of two"},
		{`create function late(p_log uuid) returns timestamptz language sql as 'select now()'`, "function late(uuid) asks for the time, or for chance"},
		{`create table written (log uuid primary key);
			create function write(p_name text, p_log uuid) returns void language plpgsql as 'begin insert into written values (p_log); end'`,
			"function write(text,uuid) writes, and its first argument is not p_log"},
	} {
		_, err := conn.Exec(t.Context(), c.sql)
		check(t, err)
		if found := faults(t, conn); !slices.Contains(found, c.want) {
			t.Errorf("%s\nfound %q, not %q", c.sql, found, c.want)
		}
	}
}

// statements returns the SQL of a source file: that of a program is in its texts.
func statements(t *testing.T, path string) (list []string) {
	t.Helper()
	if filepath.Ext(path) == ".sql" {
		b, err := os.ReadFile(path)
		check(t, err)
		return []string{string(b)}
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	check(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			check(t, err)
			list = append(list, text)
		}
		return true
	})
	return list
}

var (
	conflict = regexp.MustCompile(`(?i)\bon\s+conflict\b\s*(\([^()]*\))?\s*(do\s+nothing|do\s+update\s+set\s+([^;]*))?`)
	assigned = regexp.MustCompile(`(?i)^(\w+)\s*=\s*excluded\.(\w+)$`)
	unusable = regexp.MustCompile(`(?i)\b(now|clock_timestamp|statement_timestamp|nextval|random|gen_random_uuid)\s*\(|\bcurrent_(timestamp|date)\b|\bmerge\s+into\b|\btableoid\b|\b(big)?serial\b|\bunlogged\b|\bcreate\s+(trigger|rule|sequence)\b`)
	locking  = regexp.MustCompile(`(?i)\bfor\s+(no\s+key\s+)?update\b`)
)

// unfit returns what in a statement does not run on distributed tables, or differs there.
func unfit(sql string) (found []string) {
	for _, m := range conflict.FindAllStringSubmatch(sql, -1) {
		if m[2] == "" {
			found = append(found, m[0])
		}
		for set := range strings.SplitSeq(m[3], ",") {
			if a := assigned.FindStringSubmatch(strings.TrimSpace(set)); m[3] != "" && (a == nil || a[1] != a[2]) {
				found = append(found, strings.TrimSpace(set))
			}
		}
	}
	if locking.MatchString(sql) && !regexp.MustCompile(`(?i)\blog = (\$|p_log)`).MatchString(sql) {
		found = append(found, "a lock on several logs")
	}
	return append(found, unusable.FindAllString(sql, -1)...)
}

// No statement of the fleet needs one server.
func TestStatements(t *testing.T) {
	conflicts := 0
	for _, dir := range []string{"../../fleet", "../../cmd/klp-audit-fleet"} {
		check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(path); err != nil || ext != ".sql" && ext != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, sql := range statements(t, path) {
				conflicts += len(conflict.FindAllString(sql, -1))
				for _, fault := range unfit(sql) {
					t.Errorf("%s: %q", path, fault)
				}
			}
			return nil
		}))
	}
	if conflicts < 5 {
		t.Errorf("found only %d times ON CONFLICT: does this test read the statements?", conflicts)
	}
}

// Statements that do not run on distributed tables are found.
func TestUnfitStatements(t *testing.T) {
	for sql, want := range map[string]string{
		`insert into a values ($1) on conflict (log) do update set x = now()`:                   "x = now()",
		`insert into a values ($1) on conflict (log) do update set x = excluded.x, n = a.n + 1`: "n = a.n + 1",
		`insert into a values ($1) on conflict (log) do update set x = excluded.y`:              "x = excluded.y",
		`select x from a for update skip locked`:                                                "a lock on several logs",
		`merge into a using b on a.log = b.log when matched then delete`:                        "merge into",
		`select tableoid from a`:                             "tableoid",
		`select nextval($1)`:                                 "nextval(",
		`update a set at = current_timestamp where log = $1`: "current_timestamp",
		`create unlogged table a (log uuid primary key)`:     "unlogged",
		`create table a (log uuid, n bigserial)`:             "bigserial",
	} {
		if found := unfit(sql); !slices.Contains(found, want) {
			t.Errorf("%s: found %q, not %q", sql, found, want)
		}
	}
	for _, sql := range []string{
		`insert into a values ($1) on conflict (log, branch) do nothing`,
		"insert into a values ($1)\n\ton conflict (log) do update set x = excluded.x,\n\ty = excluded.y",
		`select x from a where log = $1 for update skip locked`,
	} {
		if found := unfit(sql); found != nil {
			t.Errorf("%s: found %q", sql, found)
		}
	}
}
