package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// historyQuery is what report history queries, as one SQL statement.
const historyQuery = `SELECT c.time, c.time_source, c.utc_offset, c.commit_id, c.event, c.host, c.boot_id, c.kind, c.action,
	c.package, c.arch, c.version, c.previous, c.kernel_release, c.patch_number, c.initial, c.result, t.outcome, c.source,
	t.login, t.sudo_user, t.exe, t.tty, t.session, t.automation, t.command, t.userdata, c.repo, c.checksum, c.signature_key,
	c.advisories, c.cves_added, c.cves_removed, c.bugs_added, c.bugs_removed
	FROM changes c LEFT JOIN commits t ON t.id = c.commit_id WHERE c.event IS NOT t.begin_event OR t.end_event IS NULL
	ORDER BY c.time DESC, c.event DESC, c.pos DESC`

// histories measures the history in every format.
func (b *bench) histories() {
	for _, f := range []struct {
		format string
		asked  float64
	}{{"csv", 2}, {"jsonl", 2.5}, {"json", 0}, {"table", 0}} {
		if b.smoke && f.format == "json" {
			continue // same as jsonl, in brackets
		}
		b.reads("report history --format "+f.format, f.asked, b.query("sqlite3", historyQuery, "-csv"), "report", "history", "--format", f.format)
	}
}

// reports measures the reports that look at a part of the record.
func (b *bench) reports() {
	middle := time.Now().UTC().AddDate(0, -2, 0).Format(time.DateOnly)
	b.flat("report state --at", "report", "state", "--at", middle, "--format", "json")
	b.flat("report compliance", "report", "compliance", "--format", "json")
	b.flatKeeping(2, "report --format html", "report", "--format", "html") // what is drawn, and what it is drawn from
	b.flat("report cve", "report", "cve", "--format", "json")
	b.flat("check", "check")
}

// rebuilds measures rebuilding the views.
func (b *bench) rebuilds() {
	b.reads("rebuild", mostToRebuild, bodiesRead(b), "rebuild")
}

// query runs the sqlite3 program with the same query on a record.
func (b *bench) query(name, query string, flags ...string) func(db string) *entrant {
	return func(db string) *entrant {
		return b.command(name, slices.Concat([]string{"sqlite3", "-readonly"}, flags, []string{db, query})...)
	}
}

// reads measures a command on records of all sizes.
func (b *bench) reads(what string, asked float64, against func(db string) *entrant, args ...string) {
	b.grown(what, b.events(), asked, func(n size) (*entrant, *entrant) {
		root := b.record(n.amount)
		return b.ours(append([]string{"--root", root}, args...)...), against(store.Path(root))
	})
}

// flat measures a command whose time should hardly depend on the size of the record, except for its
// verification and the rows of the timeline: it is compared with itself on the smallest record.
func (b *bench) flat(what string, args ...string) { b.flatKeeping(1, what, args...) }

// flatKeeping is flat for a command that keeps this many rows of each event.
func (b *bench) flatKeeping(rows int, what string, args ...string) {
	var least *entrant
	b.grown(what, b.events(), 2, func(n size) (*entrant, *entrant) {
		e := b.ours(append([]string{"--root", b.record(n.amount)}, args...)...)
		e.rows = rows*n.amount + rowsPerRelease*daysOf(n.amount)/daysPerRelease
		if least == nil {
			least = e
			least.name = "the same at " + thousands(n.amount)
		}
		return e, least
	})
}

// How many times longer deriving what a record says may take than reading its bytes.
const (
	mostToRebuild = 6
	mostToVerify  = 4
	mostToReport  = 8
)

// years measures what derives the views and what reads all of them, on the records of a host.
func (b *bench) years() {
	var sizes []size
	for _, n := range []int{1, 5, 20} {
		sizes = append(sizes, size{fmt.Sprintf("%d years", n), 1000 * n, n == 5})
	}
	b.grown("rebuild, of a host", sizes, mostToRebuild, func(n size) (*entrant, *entrant) {
		root := b.record(n.amount)
		return b.ours("--root", root, "rebuild"), bodiesRead(b)(store.Path(root))
	})
	b.grown("verify, of a host", sizes, mostToVerify, func(n size) (*entrant, *entrant) {
		root, _, against := b.digest(n.amount)
		return b.ours("--root", root, "verify"), against
	})
	b.grown("report --input, of a host", sizes, mostToReport, func(n size) (*entrant, *entrant) {
		_, export, against := b.digest(n.amount)
		return b.keeping(n, b.ours("report", "--input", export)), against
	})
	b.grown("report cve, of a host", sizes, 0, func(n size) (*entrant, *entrant) {
		root, _, against := b.digest(n.amount)
		return b.keeping(n, b.ours("--root", root, "report", "cve")), against
	})
}

// keeping notes that a command keeps rows of each event.
func (b *bench) keeping(n size, e *entrant) *entrant {
	e.rows = n.amount + rowsPerRelease*daysOf(n.amount)/daysPerRelease
	return e
}

// digest measures reading the export of a record; it also returns the record and the export.
func (b *bench) digest(events int) (root, export string, against *entrant) {
	root = b.record(events)
	export = b.kept(filepath.Base(root)+".jsonl", func(path string) {
		b.time(exec.Command(b.program("klp-audit"), "--root", root, "export", "-o", path))
	})
	return root, export, b.command("sha256sum of the export", "sha256sum", export)
}

// bodiesRead measures reading all events.
func bodiesRead(b *bench) func(db string) *entrant {
	return b.query("sqlite3 reading all bodies", `SELECT count(json_extract(body, '$.id')) FROM events`)
}

// exports compares export, and verification, with a digest of the export.
func (b *bench) exports() {
	b.grown("export", b.events(), 0, func(n size) (*entrant, *entrant) {
		root, _, against := b.digest(n.amount)
		return b.ours("--root", root, "export"), against
	})
	b.grown("verify --export: tree and signatures", b.events(), 4, func(n size) (*entrant, *entrant) {
		_, export, against := b.digest(n.amount)
		return b.ours("verify", "--input", export), against
	})
	b.grown("verify: tree, signatures and views", b.events(), mostToVerify, func(n size) (*entrant, *entrant) {
		root, _, against := b.digest(n.amount)
		return b.ours("--root", root, "verify"), against
	})
}

// appends measures what a commit does to the record: open it, add an event, close it. Each size has
// its own copy, and is compared with the smallest.
func (b *bench) appends() {
	var least *entrant
	b.grown("append and close", b.events(), 0, func(n size) (*entrant, *entrant) {
		root := b.copyOf(b.record(n.amount))
		added := 0
		e := &entrant{name: "the same at " + thousands(n.amount), run: func() sample {
			h := newHost(time.Now().UTC())
			h.count = 10*n.amount + added
			added++
			ev := &record.Event{Header: h.header(record.KindObservation), Observation: h.events[0].Observation}
			before, start := loadNow(), time.Now()
			s, err := store.Open(b.Context(), root, version)
			b.check(err)
			b.check(s.Append(b.Context(), ev))
			b.check(s.Close())
			return sample{time.Since(start), loadNow().own - before.own}
		}}
		if least == nil {
			least = e
		}
		return e, least
	})
}

// copyOf copies a tree with a record, for a test that writes to it.
func (b *bench) copyOf(root string) string {
	b.Helper()
	dir, err := os.MkdirTemp(b.cache, "copy-")
	b.check(err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	b.time(exec.Command("cp", "-a", root+"/.", dir))
	return dir
}

// imports measures the import of a libzypp history into a new record.
func (b *bench) imports() {
	var lines []size
	for _, n := range b.sizes {
		lines = append(lines, size{thousands(10*n) + " lines", 10 * n, false})
	}
	b.grown("import", lines, 0, func(n size) (*entrant, *entrant) {
		history := b.kept(fmt.Sprintf("history-%d.gz", n.amount), func(path string) { b.history(path, n.amount) })
		ours := b.ours()
		ours.run, ours.peak = b.importOf(history)
		return ours, b.shell("zcat, wc", `zcat "$1" | wc`, history)
	})
}

// importOf imports into a new record each time.
func (b *bench) importOf(history string) (run func() sample, peak func() int) {
	fresh := func() []string {
		root, err := os.MkdirTemp(b.cache, "import-")
		b.check(err)
		b.Cleanup(func() { os.RemoveAll(root) })
		newRoot(b.T, root)
		return []string{b.program("klp-audit"), "--root", root, "import", "--timezone", "UTC", history}
	}
	return func() sample {
		args := fresh()
		defer os.RemoveAll(args[2])
		return b.time(exec.Command(args[0], args[1:]...))
	}, func() int { return b.peakOf(fresh()) }
}

// history writes a history with this many lines, as libzypp does; a tenth of its commits concern
// kernels and live patches.
func (b *bench) history(path string, lines int) {
	b.Helper()
	pack := exec.Command("gzip")
	out, err := os.Create(path)
	b.check(err)
	pack.Stdout = out
	var text strings.Builder
	at := time.Date(2016, 1, 1, 8, 0, 0, 0, time.UTC)
	for n, written := 0, 0; written < lines; n++ {
		at = at.Add(30 * time.Minute)
		stamp := at.Format(time.DateTime)
		fmt.Fprintf(&text, "%s|command|root@db01|'zypper' '-n' 'up'|change:%d|\n", stamp, n)
		written++
		for i := range 9 {
			name := fmt.Sprintf("lib%d", n*7%900+i)
			if n%10 == 0 && i < 3 {
				name = []string{"kernel-default", livePatch(n % 90), "dracut"}[i]
			}
			fmt.Fprintf(&text, "%s|install|%s|1.%d-150600.3.%d|x86_64||SLE-Module-Basesystem15-SP6-Updates|%064x|change:%d|\n", stamp, name, n, i, n*9+i, n)
			written++
		}
	}
	pack.Stdin = strings.NewReader(text.String())
	b.check(pack.Run())
	b.check(out.Close())
}
