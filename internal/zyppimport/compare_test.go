package zyppimport

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// compared is a machine whose recorder was installed on 2026-03-01, and its history.
type compared struct {
	*machine
	file string
	now  time.Time
}

func newCompared(t *testing.T) *compared {
	t.Helper()
	m := &machine{T: t, root: t.TempDir(), zone: time.UTC}
	c := &compared{machine: m, file: filepath.Join(m.root, "var/log/zypp/history"), now: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)}
	put(t, c.file, "")
	put(t, filepath.Join(m.root, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
	synctest.Test(t, func(t *testing.T) { // the record notes by the clock when it was made
		time.Sleep(time.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
		s, err := store.Open(t.Context(), m.root, "1.0.0")
		c.must(err)
		c.must(s.Close())
	})
	var err error
	m.store, err = store.Open(t.Context(), m.root, "1.0.0")
	c.must(err)
	t.Cleanup(func() {
		schematest.Record(t, m.store)
		m.store.Close()
	})
	return c
}

func (c *compared) append(evs ...*record.Event) {
	c.Helper()
	if err := c.store.Append(c.Context(), evs...); err != nil {
		c.Fatal(err)
	}
}

// writes lets libzypp append lines, each on the day that it begins with.
func (c *compared) writes(lines ...string) {
	c.Helper()
	f, err := os.OpenFile(c.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprint(f, strings.Join(lines, "\n")+"\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		c.Fatal(err)
	}
}

// installs is what libzypp writes about a commit on a day in March.
func installs(day int, version string) []string {
	at := fmt.Sprintf("2026-03-%02d 10:00:0", day)
	return []string{at + "0|command|root@vm|'zypper' 'in' 'dracut'|", at + "1|install|dracut|" + version + "|x86_64|root@vm|r||"}
}

func removes(day int, version string) []string {
	at := fmt.Sprintf("2026-03-%02d 11:00:0", day)
	return []string{at + "0|command|root@vm|'zypper' 'rm' 'dracut'|", at + "1|remove |dracut|" + version + "|x86_64|root@vm|"}
}

// records lets the plugin record such a commit.
func (c *compared) records(day int, version string) {
	c.Helper()
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, c.root, "1.0.0")}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, c.root, "1.0.0")}
	begin.Time.Time = time.Date(2026, 3, day, 9, 59, 59, 0, time.UTC)
	end.Time.Time = begin.Time.Add(3 * time.Second)
	begin.Begin = &record.CommitBegin{Command: []string{"zypper", "in", "dracut"}, Announced: []record.Change{}}
	end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{
		{Kind: "support", Action: "upgrade", Package: "dracut", Arch: "x86_64", Version: version, Result: "ok"},
	}}
	c.append(begin, end)
}

// look compares a day later, and records the result.
func (c *compared) look(o CompareOptions) *record.HistoryComparison {
	c.Helper()
	c.now = c.now.AddDate(0, 0, 1)
	o.Root, o.Now = c.root, c.now
	found, err := Compare(c.Context(), c.store, o)
	if err != nil {
		c.Fatal(err)
	}
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, c.root, "1.0.0")}
	ev.Time.Time = c.now
	ev.Observation = &record.Observation{
		Trigger: record.TriggerTimer, Initrd: record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch},
	}
	if err := record.SetPart(ev.Observation, *found); err != nil {
		c.Fatal(err)
	}
	c.append(ev)
	return found
}

// finds fails unless a comparison lists exactly these lines, by number, and loses something only if
// expected.
func (c *compared) finds(when string, lost bool, want ...int) *record.HistoryComparison {
	c.Helper()
	found := c.look(CompareOptions{})
	var got []int
	for _, m := range found.Missing {
		got = append(got, m.Line.Number)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("%s: lines that are missing, -want +got\n%s", when, diff)
	}
	if (len(found.Lost) > 0) != lost {
		c.Errorf("%s: lost %+v", when, found.Lost)
	}
	return found
}

func TestCompare(t *testing.T) {
	c := newCompared(t)
	// Before the recorder was installed, nothing could be recorded.
	c.writes("2026-02-01 10:00:00|command|root@vm|'zypper' 'in' 'dracut'|", "2026-02-01 10:00:01|install|dracut|1-1|x86_64|root@vm|r||",
		"what no libzypp wrote", "2026-02-02 10:00:00|command|root@vm|'zypper' 'up'|")
	c.records(2, "2-1")
	c.writes(installs(2, "2-1")...)
	c.finds("a recorded commit", false)
	c.writes(installs(11, "3-1")...)
	c.writes(removes(11, "3-1")...)
	c.writes("2026-03-11 12:00:00|install|lab-tool|1-1|x86_64||r||", "# a comment")
	found := c.finds("installed and removed", false, 8, 10)
	at := record.At(time.Date(2026, 3, 11, 10, 0, 1, 0, time.UTC))
	want := record.MissingChange{Time: at, UTCOffset: "+00:00", Action: "install", Package: "dracut", Arch: "x86_64", Version: "3-1", Command: "'zypper' 'in' 'dracut'"}
	want.Line = record.HistoryLine{File: c.file, Number: 8, SHA256: sum("2026-03-11 10:00:01|install|dracut|3-1|x86_64|root@vm|r||")}
	if diff := cmp.Diff(want, found.Missing[0]); diff != "" {
		t.Error(diff)
	}
	if found.Since.Day() != 1 || !found.From.Equal(found.To.AddDate(0, 0, -1)) || found.File != "/var/log/zypp/history" || found.Mark.Line != 12 {
		t.Errorf("%+v", found)
	}
	c.finds("the same again", false, 8, 10)
	c.imports(c.file)
	c.finds("imported", false)
}

// A change that was later found as drift is on record.
func TestCompareWithDrift(t *testing.T) {
	c := newCompared(t)
	c.writes(removes(10, "1-1")...)
	c.finds("nobody has seen it", false, 2)
	drift := &record.Event{Header: store.NewHeader(record.KindDrift, c.root, "1.0.0")}
	drift.Time.Time = c.now
	drift.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: record.At(c.now.AddDate(0, 0, -2)), Installed: []record.Package{}, Changes: []record.Change{
		{Kind: "support", Action: "remove", Package: "dracut", Arch: "x86_64", Version: "1-1", Result: "ok"},
	}}
	c.append(drift)
	c.finds("drift", false)
}

// A history is rotated between two looks, in each way that logrotate can.
func TestCompareAcrossRotations(t *testing.T) {
	for name, rotate := range map[string]func(c *compared, to string){
		"renamed": func(c *compared, to string) { c.renames(to) },
		"packed":  func(c *compared, to string) { c.packs(to + ".gz"); c.removesFile() },
		"copied":  func(c *compared, to string) { c.copies(to); c.truncates() },
		"twice": func(c *compared, to string) {
			c.renames(to)
			c.writes("# nothing")
			c.renames(to + "-2")
		},
		"packed, and its unpacked file is still there": func(c *compared, to string) { c.packs(to + ".gz"); c.renames(to) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompared(t)
			c.writes(installs(2, "2-1")...)
			c.finds("before", false, 2)
			c.writes(installs(11, "3-1")...)
			rotate(c, c.file+"-20260312")
			c.writes(installs(12, "4-1")...)
			c.finds("after", false, 2, 4, 2)
			c.writes(installs(13, "5-1")...)
			c.finds("later", false, 2, 4, 2, 4)
		})
	}
}

func (c *compared) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *compared) renames(to string) { c.Helper(); c.must(os.Rename(c.file, to)) }
func (c *compared) removesFile()      { c.Helper(); c.must(os.Remove(c.file)) }
func (c *compared) truncates()        { c.Helper(); c.must(os.Truncate(c.file, 0)) }

func (c *compared) content() []byte {
	c.Helper()
	b, err := os.ReadFile(c.file)
	c.must(err)
	return b
}

func (c *compared) copies(to string) { c.Helper(); c.must(os.WriteFile(to, c.content(), 0o644)) }

func (c *compared) packs(to string) {
	c.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(c.content())
	c.must(errors.Join(err, z.Close(), os.WriteFile(to, b.Bytes(), 0o644)))
}

// If lines are gone, it is not known what they said; what was missing before still is.
func TestCompareWithLinesTakenAway(t *testing.T) {
	for name, take := range map[string]func(c *compared){
		"truncated":          func(c *compared) { c.truncates(); c.writes("# new") },
		"emptied":            func(c *compared) { c.truncates() },
		"deleted, and a new": func(c *compared) { c.removesFile(); c.writes(installs(12, "2-1")[0]) },
		"its end cut off":    func(c *compared) { c.must(os.Truncate(c.file, int64(len(c.content())-3))) },
		"a line changed": func(c *compared) {
			c.must(os.WriteFile(c.file, bytes.ReplaceAll(c.content(), []byte("root@vm|r|"), []byte("root@xx|r|")), 0o644))
		},
		"a line inserted": func(c *compared) { c.must(os.WriteFile(c.file, append([]byte("# x\n"), c.content()...), 0o644)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompared(t)
			c.writes(removes(2, "1-1")...)
			c.finds("before", false, 2)
			c.records(11, "2-1")
			c.writes(installs(11, "2-1")...)
			c.finds("recorded", false, 2)
			take(c)
			found := c.look(CompareOptions{})
			if len(found.Lost) != 1 || !found.Lost[0].To.Equal(c.now) || !found.Lost[0].From.Equal(c.now.AddDate(0, 0, -1)) ||
				len(found.Missing) == 0 || found.Missing[0].Line.Number != 2 {
				t.Errorf("%+v", found)
			}
			if again := c.look(CompareOptions{}); len(again.Lost) != 1 || len(again.Missing) != len(found.Missing) {
				t.Errorf("the day after: %+v", again)
			}
		})
	}
}

// A history that is missing, switched off or unreadable proves nothing.
func TestCompareWithoutHistory(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(c *compared)
		want  string
	}{
		"deleted":      {func(c *compared) { c.removesFile() }, "there is no file"},
		"switched off": {func(c *compared) { put(c.T, c.root+"/etc/zypp/zypp.conf", "[main]\nhistory.logfile = /dev/null\n") }, "switched off"},
		"a folder":     {func(c *compared) { c.removesFile(); c.must(os.Mkdir(c.file, 0o755)) }, "not a regular file"},
		"a new rotated file that cannot be unpacked": {func(c *compared) { put(c.T, c.file+"-20260311.gz", "\x1f\x8b\x08 and no more") }, "20260311.gz"},
	} {
		c := newCompared(t)
		c.writes(installs(2, "1-1")...)
		c.finds("before", false, 2)
		tt.spoil(c)
		if found, err := Compare(t.Context(), c.store, CompareOptions{Root: c.root, Now: c.now}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// A line that is being written is read once it is complete; an unreadable line may have said
// something.
func TestCompareWithBrokenLines(t *testing.T) {
	c := newCompared(t)
	c.writes(installs(2, "1-1")...)
	line := installs(11, "2-1")
	put(t, c.file, string(c.content())+line[0]+"\n"+line[1][:30])
	c.finds("half a line", false, 2)
	put(t, c.file, string(c.content())+line[1][30:]+"\n")
	c.finds("the rest of it", false, 2, 4)
	c.writes("2026-03-12 10:00:00|install|dracut")
	found := c.finds("a line that says too little", true, 2, 4)
	if !strings.Contains(found.Lost[0].Why, "line 5: parsing") {
		t.Errorf("%+v", found.Lost)
	}
	c.finds("later", true, 2, 4)
}

// Lines that were broken before the recorder came are ignored, but not those that may be younger.
func TestCompareWithBrokenLinesOfBefore(t *testing.T) {
	before := []string{"2026-02-01 10:00:01|install|dracut|1-1|x86_64|root@vm|r||", "2026-02-01 10:0"}
	for name, tt := range map[string]struct {
		after []string
		lost  bool
	}{
		"older lines follow":     {[]string{"2026-02-02 10:00:00|command|root@vm|'zypper' 'up'|", "2026-03-02 10:00:00|command|root@vm|'zypper' 'up'|"}, false},
		"only younger ones":      {[]string{"2026-03-02 10:00:00|command|root@vm|'zypper' 'up'|"}, true},
		"nothing comes after it": {nil, true},
	} {
		c := newCompared(t)
		c.writes(append(before, tt.after...)...)
		c.finds(name, tt.lost)
	}
}

// One look reads a limited amount, and the next one continues after that.
func TestCompareInPieces(t *testing.T) {
	c := newCompared(t)
	var want []int
	for i := range 40 {
		c.writes(installs(2+i%8, fmt.Sprintf("%d-1", i))...)
		want = append(want, 2*i+2)
	}
	looks := 1
	for ; c.look(CompareOptions{limit: 500}).Behind; looks++ {
	}
	if looks < 5 {
		t.Errorf("%d looks", looks)
	}
	c.finds("all of it", false, want...)
}

// Only what was written since is compared: a large history is not read again.
func TestCompareGoesOnWhereItEnded(t *testing.T) {
	c := newCompared(t)
	var b strings.Builder
	for i := range 500_000 {
		fmt.Fprintf(&b, "2026-02-01 10:00:00|install|package%d|1-1|x86_64||repo|%064d|\n", i, i)
	}
	put(t, c.file, b.String())
	c.finds("much of before", false)
	c.writes(installs(11, "1-1")...)
	cmp, err := newComparer(t.Context(), c.store, CompareOptions{Root: c.root, Now: c.now})
	c.must(err)
	sources, err := cmp.sources()
	c.must(err)
	i, from := cmp.begin(sources)
	c.must(cmp.prepare())
	c.must(cmp.read(sources[i].path, from))
	if read := maxCompared - cmp.left; read > 1000 {
		t.Errorf("%d bytes were read", read)
	}
	c.finds("one commit more", false, 500_002)
}

// Lines beyond those listed are counted, and can still be found on record.
func TestCompareWithManyMissing(t *testing.T) {
	c := newCompared(t)
	for i := range maxMissing + 5 {
		c.writes(installs(2+i/10, fmt.Sprintf("%d-1", i))...)
	}
	for range 2 {
		if found := c.look(CompareOptions{}); found.More != 5 || len(found.Missing) != maxMissing || found.Missing[0].Version != "5-1" {
			t.Errorf("%d and %d more: %+v", len(found.Missing), found.More, found.Missing[0])
		}
	}
	c.imports(c.file)
	if found := c.look(CompareOptions{}); found.More != 0 || len(found.Missing) != 0 {
		t.Errorf("%d and %d more", len(found.Missing), found.More)
	}
}

// A missing change is looked for again by its command, as far as that was kept.
func TestCompareWithLongCommand(t *testing.T) {
	c := newCompared(t)
	lines := installs(2, "2-1")
	lines[0] = strings.Replace(lines[0], "'dracut'", "'dracut' '"+strings.Repeat("x", 5000)+"'", 1)
	c.writes(lines...)
	if found := c.finds("nobody has recorded it", false, 2); len(found.Missing[0].Command) > 1100 || len(found.Missing[0].Command) < 1000 {
		t.Errorf("a command of %d bytes", len(found.Missing[0].Command))
	}
	c.records(2, "2-1") // as if it had waited in the spool; perhaps of another command
	c.finds("recorded", false)
}

// A command other than the recorded one is another commit, then and later.
func TestCompareWithAnotherCommand(t *testing.T) {
	c := newCompared(t)
	c.writes(strings.Replace(installs(2, "2-1")[0], "'in'", "'up'", 1), installs(2, "2-1")[1])
	c.finds("nothing is on record", false, 2)
	c.records(2, "2-1")
	c.finds("another command is", false, 2)
}

// The machine's clock does not decide the order: lines after the one that was read last are
// younger, whatever their time.
func TestCompareWithClockSet(t *testing.T) {
	c := newCompared(t)
	c.writes("# nothing yet")
	c.finds("before", false)
	c.writes("2025-01-01 10:00:01|install|dracut|1-1|x86_64|root@vm|r||", "2025-01-0")
	c.finds("set back by a year", true, 2)

	c = newCompared(t)
	c.writes("# nothing yet")
	now := c.now
	c.now = now.AddDate(10, 0, 0)
	c.finds("set forward by ten years", false)
	c.now = now
	c.records(11, "2-1")
	c.writes(installs(11, "2-1")...)
	c.finds("and back again", false)
	c.writes(installs(12, "3-1")...)
	c.finds("after that", false, 5)
}
