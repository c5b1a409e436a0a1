package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// rows reads the database beside the collector.
type rows struct {
	*pgx.Conn
	tables []string
}

func rowsOf(t testing.TB, dsn string) *rows {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	found, err := conn.Query(t.Context(), `select table_name::text from information_schema.columns where table_schema = current_schema() and column_name = 'log' order by 1`)
	check(t, err)
	r := &rows{Conn: conn}
	r.tables, err = pgx.CollectRows(found, pgx.RowTo[string])
	check(t, err)
	if len(r.tables) < 8 {
		t.Fatalf("tables %q", r.tables)
	}
	return r
}

// without is a digest of the rows of each table that are not a log's. All columns count.
func (r *rows) without(t testing.TB, ids ...pg.ID) string {
	t.Helper()
	var all []string
	not := []string{}
	for _, id := range ids {
		not = append(not, id.String())
	}
	for _, table := range r.tables {
		mine := "log"
		if table == "successor" {
			mine = "first" // its log is that of the later key
		}
		var n int
		var digest string
		err := r.QueryRow(t.Context(), `select count(*), md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from `+table+` t where replace(`+mine+`::text, '-', '') <> all ($1)`, not).Scan(&n, &digest)
		check(t, err)
		all = append(all, fmt.Sprintf("%s: %d rows, %s", table, n, digest))
	}
	return strings.Join(all, "\n")
}

// hostile holds the key of one log, and knows the public keys of others.
type hostile struct {
	*host
	others []string
}

// names makes an event by which another's key signs from here on.
func (h *hostile) names(checkpoint func(g *prooftest.Log, other string) string) step {
	other := h.others[h.IntN(len(h.others))]
	return func(g *prooftest.Log) {
		g.Add(record.KindRecorder, func(ev *record.Event) {
			ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: other, Checkpoint: checkpoint(g, other)}
		})
	}
}

// evil is an event that no honest log has.
func (h *hostile) evil() step {
	switch h.IntN(5) {
	case 0:
		return h.names(func(*prooftest.Log, string) string { return "" })
	case 1: // as if the other key had handed over to this one, or this one to the other
		return h.names(func(g *prooftest.Log, other string) string {
			name, _, _ := strings.Cut(other, "+")
			return strings.Replace(g.Checkpoint, strings.SplitN(g.Checkpoint, "\n", 2)[0], name, 1)
		})
	case 2: // names another log as that which it continues
		other, _, _ := strings.Cut(h.others[h.IntN(len(h.others))], "+")
		return func(g *prooftest.Log) {
			g.Add(record.KindRecorder, func(ev *record.Event) {
				ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: g.Key.Verifier, Checkpoint: other + "\n" + g.Checkpoint}
			})
		}
	case 3:
		return recorder([]record.Cause{record.CauseProofBroken, record.CauseRecordLost, record.CauseInstalled}[h.IntN(3)])
	}
	return func(g *prooftest.Log) { g.AddBody([]byte(`{"v":1}`)) }
}

// uploads is anything that a key's holder may send.
func (h *hostile) upload() []byte {
	steps := h.life(1 + h.IntN(10))
	for range h.IntN(4) {
		steps = slices.Insert(steps, h.IntN(len(steps)+1), h.evil())
	}
	if h.IntN(10) == 0 { // its first event names another's key
		steps[0] = h.names(func(*prooftest.Log, string) string { return "" })
	}
	g := h.log(steps)
	export := g.Export(h.Int64N(2) * h.Int64N(g.Size()+1))
	switch h.IntN(6) {
	case 0: // says in its first line that another key signed
		head, rest, _ := bytes.Cut(export, []byte("\n"))
		return slices.Concat(bytes.Replace(head, []byte(g.Key.Verifier), []byte(h.others[h.IntN(len(h.others))]), 1), []byte("\n"), rest)
	case 1:
		export[h.IntN(len(export))] = byte(h.Uint32())
	case 2:
		export = export[:h.IntN(len(export))]
	}
	return h.packed(export)
}

// One of the hosts sends whatever comes to its mind, signed with its key: nothing of any other log
// changes, and their keys still lead to them.
func TestHostileLog(t *testing.T) {
	n := trials(t, 200, 1000)
	c := newCollector(t)
	r := rand.New(rand.NewPCG(seed(t), 5))
	h := &hostile{host: newHost(t, r)}
	for range storetest.Few(20, 999) {
		other := newHost(t, r)
		g := other.log(other.life(1 + r.IntN(15)))
		c.sends(g.Export(0), ingest.Stored)
		if r.IntN(2) == 0 {
			check(t, c.DB.SetState(t.Context(), c.log(g), pg.Approved, "ours", c.now))
		}
		h.others = append(h.others, other.first.Verifier, g.Key.Verifier)
	}
	look := rowsOf(t, c.dsn)
	outcomes := map[ingest.Outcome]int{}
	mine := []pg.ID{pg.IDOf(h.first.Verifier)}
	before, owners := look.without(t, mine...), c.owners(h.others)
	for i := range n {
		upload := h.upload()
		if a, err := c.Ingest(t.Context(), bytes.NewReader(upload)); err == nil {
			outcomes[a.Outcome]++
		}
		if i%10 > 0 && i < n-1 {
			continue
		}
		if l, err := c.DB.ByID(t.Context(), mine[0]); err == nil { // an admin who believes everything
			check(t, c.DB.SetState(t.Context(), l, pg.Approved, "why not", c.now))
			if last := l.Branches[len(l.Branches)-1].Number; last != l.Branch {
				check(t, c.DB.Accept(t.Context(), l, last, "why not", c.now))
			}
		}
		if now := look.without(t, mine...); now != before {
			t.Fatalf("upload %d, seed %d: other rows are\n%s\nthey were\n%s\nafter\n%.3000s", i, seed(t), now, before, upload)
		}
		if now := c.owners(h.others); !slices.Equal(now, owners) {
			t.Fatalf("upload %d, seed %d: a key leads to another log", i, seed(t))
		}
	}
	t.Logf("%d uploads: %v", n, outcomes)
}

// owners are the logs that keys lead to.
func (c *collector) owners(keys []string) (ids []pg.ID) {
	c.Helper()
	for _, key := range keys {
		l, err := c.DB.ByKey(c.Context(), key)
		check(c, err)
		ids = append(ids, l.ID)
	}
	return ids
}

// fuzzKey signs the seeds of FuzzUpload: all its processes have the same.
const fuzzKey = "PRIVATE+KEY+klp-audit/c78390c37fe7c3a2+33951662+AcMCNm3mE5Q2HEeZJSygxqfHLzu08Eybct4gn0dU/Vy3"

// FuzzUpload sends anything to a collector that has the logs of 999 others: it does not panic, and
// nothing of the others changes.
func FuzzUpload(f *testing.F) {
	key, err := proof.ParseKey(fuzzKey)
	check(f, err)
	g := &prooftest.Log{TB: f, Key: key}
	recorder(record.CauseInstalled)(g)
	g.AddDrift(3)
	f.Add(g.Export(0))
	f.Add(g.Export(2))
	g.AddDrift(2)
	g.Prune(4)
	recorder(record.CauseUpgraded)(g)
	f.Add(g.Export(0))
	f.Add(g.Export(4))
	g.HandOver(prooftest.NewKey(f))
	f.Add(g.Export(0))
	f.Add(g.Export(8))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Add([]byte(`{"export":"` + proof.ExportFormat + `","since":1099511627776,"tree":[],"key":""}`))

	dsn := hasty(pgtest.DSN(f))
	_, _, err = pg.Migrate(f.Context(), dsn)
	check(f, err)
	db, err := pg.Open(f.Context(), dsn)
	check(f, err)
	f.Cleanup(db.Close)
	c := &ingest.Collector{DB: db, Limits: ingest.DefaultLimits, Now: time.Now}
	for range 999 {
		_, err := c.Ingest(f.Context(), bytes.NewReader(prooftest.New(f).Export(0)))
		check(f, err)
	}
	look, mine := rowsOf(f, dsn), pg.IDOf(key.Verifier)
	before := look.without(f, mine)
	f.Fuzz(func(t *testing.T, upload []byte) {
		a, err := c.Ingest(t.Context(), bytes.NewReader(upload))
		if err == nil && a.Outcome != ingest.Waiting && a.Outcome != ingest.Refused && a.Log != mine.String() {
			t.Errorf("%+v", a)
		}
		if now := look.without(t, mine); now != before {
			t.Errorf("other rows are\n%s\nthey were\n%s", now, before)
		}
	})
}
