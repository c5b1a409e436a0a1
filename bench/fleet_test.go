package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record/proof"
)

// What the collector has to reach.
const (
	askedIngest = 2       // times as long as single-row commits take: half as many a second
	askedBulk   = 1 / 0.3 // times as long as COPY of the same lines takes
	askedVerify = 4       // times as long as sha256sum takes
	askedRest   = 300     // bytes an event
)

// clients is how many hosts send at the same time, and workers how many logs are worked on.
const (
	clients = 8
	workers = 2
)

// fleet is how much data the collector is measured with.
type fleet struct {
	*bench
	hosts  int
	years  float64
	daily  int   // uploads of three events in a round, for each client
	memory []int // years of which the memory is measured
	kept   []string
	heap   []string
}

// TestFleet measures the collector beside what PostgreSQL and sha256sum take for the same. make
// bench-fleet writes RESULTS-fleet.md; without KLP_AUDIT_BENCH_FLEET little data shows that all can be
// measured. KLP_AUDIT_BENCH_ONLY names the parts to measure; then nothing is written.
func TestFleet(t *testing.T) {
	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{bench: &bench{T: t, tree: tree, out: os.Stdout, rounds: 1, fewest: 1}, hosts: 2, years: 0.1, daily: 3, memory: []int{1}}
	full := os.Getenv("KLP_AUDIT_BENCH_FLEET") != ""
	if full {
		f.rounds, f.fewest, f.patience = 7, 3, time.Minute
		if n, err := strconv.Atoi(os.Getenv("KLP_AUDIT_BENCH_ROUNDS")); err == nil && n > 0 {
			f.rounds, f.fewest = n, 1
		}
		f.hosts, f.years, f.daily, f.memory = 6, 5, 100, []int{5, 35}
	} else {
		f.out = t.Output()
	}
	only := strings.Fields(os.Getenv("KLP_AUDIT_BENCH_ONLY"))
	before := loadNow()
	fmt.Fprint(f.out, fleetHead)
	for _, part := range []struct {
		name string
		run  func()
	}{{"memory", f.peaks}, {"increments", f.increments}, {"bulk", f.bulk}, {"rest", f.atRest}} {
		if len(only) == 0 || slices.Contains(only, part.name) {
			part.run()
		}
	}
	fmt.Fprintf(f.out, "\n%s%s\n%s; %s\n", keptHead, strings.Join(append(f.kept, f.heap...), "\n"), f.machine(), before.since())
	if full && len(only) == 0 {
		f.write(before)
	}
	if full {
		f.judge()
	}
}

// increments measures uploads of what a host records in a day or two.
func (f *fleet) increments() {
	const events = 3
	c, db := f.collector(), f.database()
	bodies := flatten(f.days(f.daily * (f.rounds + 3) * events))
	logs := make([]*hostLog, clients)
	for i := range logs {
		logs[i] = newHostLog(f.T)
	}
	c.takes(workers, f.exports(logs, bodies[:30]))
	next := 30
	ours := &entrant{name: "klp-audit-fleet", run: func() sample {
		lanes := make([][][]byte, len(logs))
		for range f.daily {
			for i, u := range f.exports(logs, bodies[next:next+events]) {
				lanes[i] = append(lanes[i], u)
			}
			next += events
		}
		return timed(func() {
			var g errgroup.Group
			for _, lane := range lanes { // a host sends one upload after the other
				g.Go(func() error { c.takes(1, lane); return nil })
			}
			g.Wait()
		})
	}}
	db.exec("create table committed (client int, number int, at timestamptz); create table uploaded (lines bytea)")
	small := &entrant{name: "pgbench: as many INSERTs of a row", run: func() sample {
		return db.pgbench(f.daily, "insert into committed values (:client_id, 1, now())")
	}}
	upload := fmt.Sprintf(`insert into uploaded values ('\x%x')`, f.export(newHostLog(f.T), bodies[:events]))
	whole := &entrant{name: "pgbench: the same bytes as a row each", run: func() sample { return db.pgbench(f.daily, upload) }}
	r := row{what: "uploads of 3 events, 8 at a time", size: fmt.Sprintf("%d uploads", clients*f.daily), ours: ours, against: small, asked: askedIngest}
	other := r
	other.against, other.asked = whole, 0
	f.compare(r, other)
}

func (f *fleet) exports(logs []*hostLog, bodies [][]byte) (uploads [][]byte) {
	for _, l := range logs {
		uploads = append(uploads, f.export(l, bodies))
	}
	return uploads
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench commits a statement at a time, and returns how long that took without connecting.
func (d *database) pgbench(times int, statement string) sample {
	d.Helper()
	cmd := pgtest.Command(d.T, "pgbench", "-n", "-M", "prepared", "-c", fmt.Sprint(clients), "-j", fmt.Sprint(workers), "-t", fmt.Sprint(times), "-f", "-", d.dsn)
	cmd.Stdin = strings.NewReader(statement + ";\n")
	out, err := cmd.CombinedOutput()
	m := tps.FindSubmatch(out)
	if err != nil || m == nil {
		d.Fatalf("%v\n%s", err, out)
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	d.check(err)
	return sample{wall: time.Duration(float64(clients*times) / rate * float64(time.Second))}
}

// bulk measures first uploads of whole records.
func (f *fleet) bulk() {
	c, db := f.collector(), f.database()
	db.exec("create table copied (line text not null)")
	var rows []row
	for _, years := range []float64{f.years / 10, f.years} {
		bodies := flatten(f.days(int(years * 365)))
		var uploads [][]byte
		ours := &entrant{name: "klp-audit-fleet", run: func() sample {
			uploads = nil
			for range f.hosts {
				uploads = append(uploads, f.export(newHostLog(f.T), bodies))
			}
			return timed(func() { c.takes(workers, uploads) })
		}}
		against := &entrant{name: "COPY of the same lines", run: func() sample { return db.copies(uploads) }}
		r := row{what: "whole records", ours: ours, against: against, size: fmt.Sprintf("%d × %s events", f.hosts, thousands(len(bodies)+1))}
		if rows = append(rows, r); len(rows) == 2 {
			rows[1].less, rows[1].times, rows[1].asked = rows[0].ours, 10, askedBulk
		}
	}
	f.compare(rows...)
}

// copies copies the lines of uploads into a table, several uploads at a time.
func (d *database) copies(uploads [][]byte) sample {
	d.Helper()
	d.exec("truncate copied")
	conns := make(chan *pgx.Conn, workers)
	for range workers {
		conn, err := pgx.Connect(d.Context(), d.dsn)
		d.check(err)
		defer conn.Close(context.Background())
		conns <- conn
	}
	return timed(func() {
		g, ctx := errgroup.WithContext(d.Context())
		g.SetLimit(workers)
		for _, u := range uploads {
			g.Go(func() error {
				conn := <-conns
				defer func() { conns <- conn }()
				lines := bytes.Split(bytes.TrimSuffix(u, []byte("\n")), []byte("\n"))
				_, err := conn.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"line"}, pgx.CopyFromSlice(len(lines), func(i int) ([]any, error) {
					return []any{lines[i]}, nil
				}))
				return err
			})
		}
		d.check(g.Wait())
	})
}

// atRest measures what logs take that came day by day and were packed each week, and how long it
// takes to verify them.
func (f *fleet) atRest() {
	var rows []row
	for _, years := range []float64{f.years / 10, f.years} {
		c, days := f.collector(), f.days(int(years*365))
		events := f.lives(c, days)
		f.kept = append(f.kept, c.sizes(events, years == f.years)...)
		r := row{what: "verify", size: fmt.Sprintf("%d × %s events", f.hosts, thousands(events/f.hosts))}
		files := c.files()
		r.ours = &entrant{name: "klp-audit-fleet", run: func() sample { return timed(func() { c.verifies(f.hosts) }) }}
		r.against = &entrant{name: "sha256sum of the exports", run: func() sample {
			return f.time(exec.Command("/bin/sh", "-c", `cat "$0"/* | sha256sum`, files))
		}}
		if rows = append(rows, r); len(rows) == 2 {
			rows[1].less, rows[1].times, rows[1].asked = rows[0].ours, 10, askedVerify
		}
	}
	f.compare(rows...)
}

// lives sends the days of hosts, and prunes each Sunday. It returns how many events the
// hosts have.
func (f *fleet) lives(c *collector, days [][][]byte) (events int) {
	var logs []*hostLog
	for range f.hosts {
		logs = append(logs, newHostLog(f.T))
	}
	c.now = c.now.AddDate(0, 0, -len(days))
	for _, day := range days {
		c.takes(clients, f.exports(logs, day))
		if c.now = c.now.AddDate(0, 0, 1); c.now.Weekday() == time.Sunday {
			c.prunes()
		}
	}
	c.now = c.now.AddDate(0, 1, 0)
	c.prunes()
	for _, l := range logs {
		events += int(l.tree.Size())
	}
	return events
}

func (c *collector) logs() []*pg.Log {
	c.Helper()
	logs, err := c.DB.All(c.Context(), "")
	c.check(err)
	return logs
}

// prunes packs what came in a week, and frees the space as autovacuum does: while many logs are
// pruned, space of the first is free for others.
func (c *collector) prunes() {
	c.Helper()
	p := keep.Prune{DB: c.DB, Now: c.now, Workers: workers, Found: func(p keep.Pruned) error { return p.Err }}
	for logs := range slices.Chunk(c.logs(), workers) {
		c.check(p.Run(c.Context(), logs))
		for _, table := range []string{"segment", "receipt", "branch"} {
			c.exec("vacuum " + table)
		}
	}
}

// sizes are the rows of the table of what is kept, in bytes an event.
func (c *collector) sizes(events int, asked bool) (lines []string) {
	c.Helper()
	of := func(bytes int64) float64 { return float64(bytes) / float64(events) }
	rows, err := c.sql.Query(c.Context(), `select relname::text, pg_total_relation_size(oid), pg_relation_size(oid), pg_indexes_size(oid) from pg_class
		where relkind = 'r' and relnamespace = current_schema()::regnamespace order by 2 desc, 1`)
	c.check(err)
	var name string
	var total, heap, index, sum int64
	_, err = pgx.ForEachRow(rows, []any{&name, &total, &heap, &index}, func() error {
		sum += total
		lines = append(lines, fmt.Sprintf("| %s | %.1f | %.1f | %.1f | %.1f |", name, of(total), of(heap), of(index), of(total-heap-index)))
		return nil
	})
	c.check(err)
	all := fmt.Sprintf("**%.0f**", of(sum))
	if asked {
		all += fmt.Sprintf(", asked: %d", askedRest)
	}
	if asked && of(sum) > askedRest {
		all += " **no**"
	}
	lines = append([]string{fmt.Sprintf("| **%d × %s events** | %s | | | |", len(c.logs()), thousands(events/len(c.logs())), all)}, lines...)
	return append(lines, c.contents(of)...)
}

// contents says what the figures are made of.
func (c *collector) contents(of func(int64) float64) []string {
	c.Helper()
	var raw, packed, outlines, tight int64
	c.check(c.sql.QueryRow(c.Context(), `select sum(bytes)::bigint, sum(length(lines)), sum(length(outlines)) from segment`).Scan(&raw, &packed, &outlines))
	c.exec("vacuum full segment")
	c.check(c.sql.QueryRow(c.Context(), `select pg_total_relation_size('segment')`).Scan(&tight))
	return []string{
		fmt.Sprintf("| segment, without the space that is free for what comes next | %.1f | | | |", of(tight)),
		fmt.Sprintf("| its lines, and outlines | %.1f, %.1f | | | |", of(packed), of(outlines)),
		fmt.Sprintf("| its lines before they were compressed | %.1f | | | |", of(raw)),
	}
}

// files exports all logs into a folder, and returns it.
func (c *collector) files() string {
	c.Helper()
	folder := c.TempDir()
	for _, l := range c.logs() {
		var out bytes.Buffer
		c.check(keep.Export(c.Context(), c.DB, l, 0, &out))
		c.check(os.WriteFile(filepath.Join(folder, l.ID.String()), out.Bytes(), 0o644))
	}
	return folder
}

// verifies verifies everything.
func (c *collector) verifies(logs int) {
	c.Helper()
	intact := 0
	run := keep.Run{DB: c.DB, Began: c.now, Workers: workers, Now: c.Now, Found: func(r keep.Result) error {
		if r.Err == nil && r.Result == string(proof.Intact) {
			intact++
		}
		return r.Err
	}}
	c.check(run.Verify(c.Context(), c.logs()))
	if intact != logs {
		c.Errorf("%d of %d logs are intact", intact, logs)
	}
}

// peaks measures the memory that one upload and one verification take.
func (f *fleet) peaks() {
	var before []int // of the export, the upload and the verification
	for _, years := range f.memory {
		c := f.collector()
		path := filepath.Join(f.TempDir(), "export")
		f.check(os.WriteFile(path, f.export(newHostLog(f.T), flatten(f.days(years*365))), 0o644))
		file, err := os.Open(path)
		f.check(err)
		info, err := file.Stat()
		f.check(err)
		taken := peakHeap(func() {
			_, err = c.Ingest(f.Context(), file)
			f.check(err)
		})
		verified := peakHeap(func() { c.verifies(1) })
		f.check(file.Close())
		now := []int{int(info.Size()), taken, verified}
		for i, what := range []string{1: "upload", 2: "verification"} {
			if before != nil && i > 0 && now[i]/before[i] > now[0]/before[0] {
				f.Errorf("the %s takes %d MiB, and %d MiB with %d times less data", what, now[i]>>20, before[i]>>20, now[0]/before[0])
			}
		}
		before = now
		f.heap = append(f.heap, fmt.Sprintf("- An export of %d MiB: its upload takes %d MiB of heap, verifying it %d MiB.", info.Size()>>20, taken>>20, verified>>20))
	}
}
