package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// hostLog is the log of a host, as far as its next export needs it.
type hostLog struct {
	key  *proof.Key
	tree *proof.Tree
}

func newHostLog(t *testing.T) *hostLog {
	return &hostLog{key: prooftest.NewKey(t), tree: &proof.Tree{}}
}

// export is the host's export of its next events, of which those with these bodies are the last:
// before its first one it says which key signs.
func (b *bench) export(l *hostLog, bodies [][]byte) []byte {
	b.Helper()
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	b.check(proof.WriteExportHeader(w, l.tree.Size(), l.tree.Roots(), l.key.Verifier))
	if l.tree.Size() == 0 {
		ev := newHost(time.Now()).events[0]
		first := &record.Event{Header: ev.Header, Identity: &record.Identity{Cause: record.CauseInstalled, Schema: 4, Key: l.key.Verifier}}
		first.Kind, first.ID = record.KindRecorder, "00000000-0000-7000-8000-000000000000"
		body, err := record.Encode(first)
		b.check(err)
		bodies = append([][]byte{body}, bodies...)
	}
	for _, body := range bodies {
		e := proof.Entry{Seq: l.tree.Size() + 1, Hash: tlog.RecordHash(body), Body: body}
		b.check(proof.WriteExportEntry(w, e))
		b.check(l.tree.Add(e.Hash))
	}
	root, err := l.tree.Root()
	b.check(err)
	cp, err := l.key.Sign(l.tree.Size(), root, nil)
	b.check(err)
	b.check(proof.WriteExportEnd(w, cp.Note))
	b.check(w.Flush())
	return out.Bytes()
}

// days are the events of each day of a host.
func (b *bench) days(n int) (days [][][]byte) {
	b.Helper()
	h := newHost(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -n))
	for range n {
		h.day()
		var bodies [][]byte
		for _, ev := range h.events {
			body, err := record.Encode(ev)
			b.check(err)
			bodies = append(bodies, body)
		}
		days, h.events = append(days, bodies), nil
	}
	return days
}

// flatten joins the events of days.
func flatten(days [][][]byte) (bodies [][]byte) {
	for _, d := range days {
		bodies = append(bodies, d...)
	}
	return bodies
}

// database is a schema of its own on the tests' server.
type database struct {
	*bench
	dsn string
	sql *pgx.Conn
}

func (b *bench) database() *database {
	b.Helper()
	d := &database{bench: b, dsn: pgtest.DSN(b.T)}
	var err error
	d.sql, err = pgx.Connect(b.Context(), d.dsn)
	b.check(err)
	b.Cleanup(func() { d.sql.Close(context.Background()) })
	return d
}

func (d *database) exec(statement string) {
	d.Helper()
	_, err := d.sql.Exec(d.Context(), statement)
	d.check(err)
}

// collector is a collector with a database of its own.
type collector struct {
	*database
	*ingest.Collector
	now time.Time
}

func (b *bench) collector() *collector {
	b.Helper()
	c := &collector{database: b.database(), now: time.Now()}
	_, _, err := pg.Migrate(b.Context(), c.dsn)
	b.check(err)
	db, err := pg.Open(b.Context(), c.dsn)
	b.check(err)
	b.Cleanup(db.Close)
	c.Collector = &ingest.Collector{DB: db, Limits: ingest.DefaultLimits, Now: func() time.Time { return c.now }}
	return c
}

// takes gives uploads to the collector, several at a time; all of them must be stored.
func (c *collector) takes(workers int, uploads [][]byte) {
	c.Helper()
	g, ctx := errgroup.WithContext(c.Context())
	g.SetLimit(workers)
	for _, u := range uploads {
		g.Go(func() error {
			a, err := c.Ingest(ctx, bytes.NewReader(u))
			if err == nil && a.Outcome != ingest.Stored {
				c.Errorf("%+v", a)
			}
			return err
		})
	}
	c.check(g.Wait())
}

// timed measures what this process does.
func timed(do func()) sample {
	start, before := time.Now(), ownCPU()
	do()
	return sample{time.Since(start), ownCPU() - before}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakHeap is by how much the heap of this process grows at most meanwhile, with what the garbage
// collector has not removed yet.
func peakHeap(do func()) int {
	runtime.GC()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	now := func() int { metrics.Read(heap); return int(heap[0].Value.Uint64()) }
	before, peak := now(), 0
	stop, stopped := make(chan struct{}), sync.WaitGroup{}
	stopped.Go(func() {
		for tick := time.Tick(time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick:
				peak = max(peak, now()-before)
			}
		}
	})
	do()
	close(stop)
	stopped.Wait()
	return peak
}

// compare measures rows side by side.
func (f *fleet) compare(rows ...row) {
	var entrants []*entrant
	for _, r := range rows {
		entrants = append(entrants, r.ours, r.against)
	}
	f.race(entrants...)
	for _, r := range rows {
		f.rows = append(f.rows, r)
		fmt.Fprintln(f.out, r.fleetLine())
	}
}

const fleetHead = "| what | size | klp-audit-fleet, ms | against | ms | ratio | asked | growth |\n|---|--:|--:|---|--:|--:|--:|--:|\n"

// fleetLine is a row without CPU times: that of the server is unknown.
func (r *row) fleetLine() string {
	ratio := r.ours.ratio(r.against, wall)
	asked, growth := "", ""
	if r.asked > 0 {
		asked = fmt.Sprintf("%.2g", r.asked)
		if ratio.median > r.asked {
			asked += " **no**"
		}
	}
	if r.less != nil {
		growth = fmt.Sprintf("%.1f for %g", r.growth(), r.times)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | **%.2f** (%.2f to %.2f) | %s | %s |", r.what, r.size, r.ours.of(wall), r.against.name,
		r.against.of(wall), ratio.median, ratio.low, ratio.high, asked, growth)
}

const keptHead = "| kept, bytes an event | all | rows | indexes | TOAST |\n|---|--:|--:|--:|--:|\n"

// write writes the results into the project.
func (f *fleet) write(l load) {
	var text strings.Builder
	versions := strings.Join([]string{runtime.Version(), "klp-audit of commit " + firstLine("git", "-C", f.tree, "describe", "--always", "--dirty"),
		f.server(), firstLine("sha256sum", "--version")}, "; ")
	fmt.Fprintf(&text, fleetResultsHead, l.start.UTC().Format("2006-01-02"), f.machine(), versions, l.since(), f.rounds, f.fewest)
	text.WriteString(fleetHead)
	for _, r := range f.rows {
		text.WriteString(r.fleetLine() + "\n")
	}
	fmt.Fprintf(&text, "%s\n%s%s\n%s\n%s\n", fleetKept, keptHead, strings.Join(f.kept, "\n"), fleetHeap, strings.Join(f.heap, "\n"))
	f.check(os.WriteFile(filepath.Join(f.tree, "bench/RESULTS-fleet.md"), []byte(text.String()), 0o644))
}

// server is the version of PostgreSQL.
func (f *fleet) server() (version string) {
	f.check(f.database().sql.QueryRow(f.Context(), "select 'PostgreSQL ' || current_setting('server_version')").Scan(&version))
	return version
}

const fleetResultsHead = "# What klp-audit-fleet costs\n\n`make bench-fleet` made this on %s.\n\n" + `- Machine: %s
- Versions: %s
- Load: %s

Every row compares the collector with what PostgreSQL or sha256sum takes for the same, or the least of
it. They ran in turn, in the same minutes, on one private cluster with fsync on, after a round that
fills the caches: %d rounds, %d where they take long. Times are medians of wall time; the range in
brackets holds the middle half of the runs. The ratio is the median of the ratios of each round.
"asked" is the most that the project allows itself: 2 times as long as the INSERTs is half as many a
second, and 3.3 times as long as COPY is 0.3 of its bytes a second. Growth is that of the collector's
own CPU time in the fastest runs, for this many times the data. Eight hosts send at a time, each one upload after the other;
of whole records and logs, two are worked on at a time.

KLP_AUDIT_BENCH_ONLY="memory increments bulk rest" chooses parts, and KLP_AUDIT_BENCH_ROUNDS=3 is faster and less
certain.

`

const fleetKept = `
Hosts that sent their events day by day, and were packed each week: what the tables take, with
indexes, TOAST and the space that is free again.
`

const fleetHeap = `
Memory, with what the garbage collector has not removed yet:
`
