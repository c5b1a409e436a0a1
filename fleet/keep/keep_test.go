package keep_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kept is a collector's database, and a connection to it for what only an intruder does.
type kept struct {
	*testing.T
	db  *pg.DB
	raw *pgx.Conn
	now time.Time
}

func newKept(t *testing.T) *kept {
	t.Helper()
	dsn := pgtest.DSN(t)
	_, _, err := pg.Migrate(t.Context(), dsn)
	check(t, err)
	db, err := pg.Open(t.Context(), dsn)
	check(t, err)
	t.Cleanup(db.Close)
	raw, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	t.Cleanup(func() { raw.Close(context.Background()) })
	return &kept{T: t, db: db, raw: raw, now: time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)}
}

// sends uploads the events of a log after a number.
func (k *kept) sends(g *prooftest.Log, since int64) *ingest.Answer {
	k.Helper()
	c := &ingest.Collector{DB: k.db, Now: func() time.Time { return k.now }}
	a, err := c.Ingest(k.Context(), bytes.NewReader(g.Export(since)))
	check(k, err)
	return a
}

func (k *kept) log(g *prooftest.Log) *pg.Log {
	k.Helper()
	l, err := k.db.ByKey(k.Context(), g.Key.Verifier)
	check(k, err)
	return l
}

// verifies verifies the branch of a log that counts.
func (k *kept) verifies(g *prooftest.Log, key string) *pg.Verification {
	k.Helper()
	l := k.log(g)
	v, err := keep.Verify(k.Context(), k.db, l, l.Branch, key)
	check(k, err)
	return v
}

// export is what the collector gives back.
func (k *kept) export(g *prooftest.Log) string {
	k.Helper()
	l := k.log(g)
	var b bytes.Buffer
	check(k, keep.Export(k.Context(), k.db, l, l.Branch, &b))
	return b.String()
}

// exec runs a statement.
func (k *kept) exec(sql string, args ...any) {
	k.Helper()
	tag, err := k.raw.Exec(k.Context(), sql, args...)
	check(k, err)
	if tag.RowsAffected() == 0 {
		k.Fatalf("%s: no row", sql)
	}
}

// prune prunes all logs.
func (k *kept) prune(p keep.Prune) (sum keep.Pruned) {
	k.Helper()
	p.DB, p.Now = k.db, k.now
	p.Found = func(d keep.Pruned) error {
		sum.Segments, sum.Removed, sum.Withheld = sum.Segments+d.Segments, sum.Removed+d.Removed, sum.Withheld+d.Withheld
		return d.Err
	}
	logs, err := k.db.All(k.Context(), "")
	check(k, err)
	check(k, p.Run(k.Context(), logs))
	return sum
}

// count is how many rows a table has.
func (k *kept) count(table string) (n int) {
	k.Helper()
	check(k, k.raw.QueryRow(k.Context(), "select count(*) from "+table).Scan(&n))
	return n
}

// Whoever alters the database is found by a verification, whatever they alter.
func TestAlteredDatabase(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.AddDrift(3)
	k.sends(g, 0)
	g.AddDrift(4)
	k.sends(g, 4)
	other := prooftest.New(t)
	other.AddDrift(7)
	k.sends(other, 0)
	if v := k.verifies(g, ""); v.Result != "intact" || v.Size != 8 {
		t.Fatalf("%+v", v)
	}
	id, stranger := pg.IDOf(g.Key.Verifier), pg.IDOf(other.Key.Verifier)
	for _, sql := range []string{
		`update segment s set lines = o.lines, bytes = o.bytes from segment o where s.log = $1 and s.first = 1 and o.log = $1 and o.first = 5`,
		`update segment set lines = lines || lines where log = $1 and first = 5`,
		`update segment set lines = '' where log = $1 and first = 5`,
		`update segment set bytes = bytes - 1 where log = $1 and first = 5`,
		`update segment set tree = '' where log = $1 and first = 5`,
		`update segment set outlines = (select outlines from segment where log = $2 and first = 1) where log = $1 and first = 5`,
		`update segment set outlines = '' where log = $1 and first = 1`,
		`update segment set lines = (select lines from segment where log = $2 and first = 1), bytes = (select bytes from segment where log = $2 and first = 1),
			outlines = (select outlines from segment where log = $2 and first = 1), last = (select last from segment where log = $2 and first = 1) where log = $1 and first = 1`,
		`delete from segment where log = $1 and first = 5`,
		`delete from segment where log = $1 and first = 1`,
		`update segment set last = 9 where log = $1 and first = 5`,
		`update branch set size = 7 where log = $1`,
		`update branch set tree = (select tree from branch where log = $2) where log = $1`,
		`update branch set checkpoint = (select checkpoint from branch where log = $2) where log = $1`,
		`update branch set key = (select key from branch where log = $2) where log = $1`,
		`update log set key = (select key from log where log = $2) where log = $1`,
		`update branch set checkpoint = (select checkpoint from receipt where log = $1 and size = 4) where log = $1`,
	} {
		saved := k.dump()
		k.intrude(sql, id, stranger)
		l, err := k.db.ByID(t.Context(), id)
		check(t, err)
		v, err := keep.Verify(t.Context(), k.db, l, 0, "")
		if err != nil || v.Result == "intact" || len(v.Problems) == 0 {
			t.Errorf("%s: %v, %+v", sql, err, v)
		}
		k.restore(saved)
	}
	if v := k.verifies(g, ""); v.Result != "intact" {
		t.Fatalf("after all was put back: %+v", v)
	}
}

// ofStranger is what a statement takes from another log.
var ofStranger = regexp.MustCompile(`\(select \w+ from \w+ where log = \$2[^)]*\)`)

// intrude runs a statement about a log. What it takes from a stranger's log is asked for first, because
// an engine may have both logs in different places.
func (k *kept) intrude(sql string, id, stranger pg.ID) {
	k.Helper()
	args := []any{id}
	sql = ofStranger.ReplaceAllStringFunc(sql, func(query string) string {
		var v any
		check(k, k.raw.QueryRow(k.Context(), strings.ReplaceAll(strings.Trim(query, "()"), "$2", "$1"), stranger).Scan(&v))
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	})
	k.exec(sql, args...)
}

// dump copies the tables that an intruder alters.
func (k *kept) dump() string {
	k.Helper()
	name := fmt.Sprintf("saved_%d", time.Now().UnixNano())
	for _, table := range []string{"log", "branch", "segment"} {
		_, err := k.raw.Exec(k.Context(), fmt.Sprintf("create table %s_%s as table %s", name, table, table))
		check(k, err)
	}
	return name
}

func (k *kept) restore(name string) {
	k.Helper()
	for _, table := range []string{"log", "branch", "segment"} {
		var columns string // without those that follow from others
		check(k, k.raw.QueryRow(k.Context(), `select string_agg(attname, ', ') from pg_attribute where attrelid = $1::regclass and attnum > 0 and attgenerated = ''`, table).Scan(&columns))
		for _, sql := range []string{"delete from TABLE", "insert into TABLE (COLUMNS) select COLUMNS from NAME_TABLE", "drop table NAME_TABLE"} {
			_, err := k.raw.Exec(k.Context(), strings.NewReplacer("NAME", name, "TABLE", table, "COLUMNS", columns).Replace(sql))
			check(k, err)
		}
	}
}

// Uploads are packed after a week. What is given back stays the same, byte for byte, and a host
// goes on sending meanwhile.
func TestPack(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	k.sends(g, 0)
	for range 20 {
		k.now = k.now.AddDate(0, 0, 2)
		since := g.Size()
		g.AddDrift(2)
		k.sends(g, since)
	}
	before := k.export(g)
	if got := k.prune(keep.Prune{}); got.Segments != 17 {
		t.Errorf("packed %d pieces", got.Segments)
	}
	if n, r := k.count("segment"), k.count("receipt"); n != 5 || r != 16 {
		t.Errorf("%d segments, %d receipts", n, r)
	}
	if got := k.export(g); got != before {
		t.Errorf("got %s\nwant %s", got, before)
	}
	since := g.Size()
	g.AddDrift(1)
	if a := k.sends(g, since); a.Outcome != ingest.Stored {
		t.Errorf("%+v", a)
	}
	if a := k.sends(g, 3); a.Outcome != ingest.Known {
		t.Errorf("%+v", a)
	}
	if v := k.verifies(g, ""); v.Result != "intact" {
		t.Errorf("%+v", v)
	}
	if got := k.prune(keep.Prune{}); got.Segments != 0 {
		t.Errorf("packed %d pieces again", got.Segments)
	}
}

// A branch keeps its own events only; packing leaves what another branch takes from it.
func TestPackBranches(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.AddDrift(4)
	k.sends(g, 0)
	w := &prooftest.Log{TB: t, Key: g.Key}
	for _, body := range g.Bodies[:3] {
		w.AddBody(body)
	}
	for range 3 {
		w.AddBody(bytes.Replace(g.Bodies[4], []byte("000000000005"), fmt.Appendf(nil, "%012d", 100+w.Size()), 1))
		if a := k.sends(w, 0); a.Outcome != ingest.Forked {
			t.Fatalf("%+v", a)
		}
		since := g.Size()
		g.AddDrift(1)
		k.sends(g, since)
	}
	k.now = k.now.AddDate(0, 1, 0)
	if got := k.prune(keep.Prune{}); got.Segments == 0 {
		t.Error("nothing was packed")
	}
	l := k.log(g)
	for branch, log := range map[int]*prooftest.Log{0: g, 1: w} {
		var b bytes.Buffer
		check(t, keep.Export(t.Context(), k.db, l, branch, &b))
		if !bytes.Equal(b.Bytes(), log.Export(0)) {
			t.Errorf("branch %d: %s", branch, b.Bytes())
		}
	}
}

// Bodies that the host has removed stay with the collector until its owner wants them removed, too.
// Then the collector gives what the host itself would.
func TestFollowsPrunes(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.AddDrift(9)
	k.sends(g, 0)
	g.Prune(5)
	k.sends(g, 10)
	horizon := prooftest.At(4).Time
	if got := k.prune(keep.Prune{Before: horizon}); got.Removed != 2 || got.Withheld != 0 { // 2 and 3: 1 names a key
		t.Errorf("%+v", got)
	}
	if got := k.prune(keep.Prune{Before: prooftest.At(9).Time}); got.Removed != 2 {
		t.Errorf("%+v", got)
	}
	if got := k.export(g); got != string(g.Export(0)) {
		t.Errorf("got %s\nwant %s", got, g.Export(0))
	}
	if v := k.verifies(g, ""); v.Result != "intact" || v.Withheld != 0 {
		t.Errorf("%+v", v)
	}
}

// What the collector withholds beyond what hosts have removed is in a statement that it signs. A
// verification counts it; without the statement, or with another's, the log is altered.
func TestWithhold(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	key := prooftest.NewKey(t)
	g.AddDrift(9)
	k.sends(g, 0)
	g.Prune(3)
	g.AddDrift(2)
	k.sends(g, 10)
	if got := k.prune(keep.Prune{Before: prooftest.At(6).Time, Withhold: true, Key: key}); got.Removed != 2 || got.Withheld != 2 {
		t.Errorf("%+v", got)
	}
	if got := k.prune(keep.Prune{Before: prooftest.At(8).Time, Withhold: true, Key: key}); got.Withheld != 2 {
		t.Errorf("%+v", got)
	}
	if v := k.verifies(g, key.Verifier); v.Result != "intact" || v.Withheld != 4 {
		t.Errorf("%+v", v)
	}
	s, err := k.db.Withheld(t.Context(), k.log(g).ID, 0)
	check(t, err)
	if s.Bodies != 4 || !strings.Contains(s.Text, "\nevents 4-7\n") {
		t.Errorf("%+v", s)
	}
	for _, other := range []string{"", prooftest.NewKey(t).Verifier} {
		if v := k.verifies(g, other); v.Result != "altered" {
			t.Errorf("with key %q: %+v", other, v)
		}
	}
	k.exec(`delete from withheld`)
	if v := k.verifies(g, key.Verifier); v.Result != "altered" || len(v.Problems) != 4 {
		t.Errorf("without the statement: %+v", v)
	}
}

// A run that was stopped goes on where it was.
func TestResume(t *testing.T) {
	k := newKept(t)
	var logs []*pg.Log
	for range 5 {
		g := prooftest.New(t)
		g.AddDrift(2)
		k.sends(g, 0)
		logs = append(logs, k.log(g))
	}
	stop := fmt.Errorf("stopped")
	seen := map[pg.ID]int{}
	run := func(resumed bool, at int) error {
		n := 0
		r := &keep.Run{DB: k.db, Began: k.now, Resumed: resumed, Workers: 1, Now: func() time.Time { return k.now.Add(time.Duration(n) * time.Second) }}
		r.Found = func(res keep.Result) error {
			check(t, res.Err)
			if res.Result != string(proof.Intact) {
				t.Errorf("%+v", res.Verification)
			}
			if n++; n > at {
				return stop
			}
			seen[res.Log.ID]++
			return nil
		}
		return r.Verify(t.Context(), logs)
	}
	if err := run(false, 2); err != stop {
		t.Fatal(err)
	}
	k.exec(`update segment set lines = '' where log = $1`, logs[0].ID) // verified already
	check(t, run(true, 100))
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
}
