package zyppimport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

const livePatch = "kernel-livepatch-6_4_0-150600_23_17-default"

// machine is a file tree with a record.
type machine struct {
	*testing.T
	root  string
	store *store.Store
	zone  *time.Location
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, root: t.TempDir(), zone: time.UTC}
	put(t, filepath.Join(m.root, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
	s, err := store.Open(t.Context(), m.root, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m.store = s
	return m
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// imports imports files and returns what could not be read.
func (m *machine) imports(files ...string) (sum Summary, problems []string) {
	m.Helper()
	sum, err := Import(m.Context(), m.store, Options{
		Files: files, Zone: m.zone, Root: m.root, Version: "1.0.0",
		Problem: func(p Problem) { problems = append(problems, p.Error()) },
	})
	if err != nil {
		m.Fatal(err)
	}
	schematest.Record(m.T, m.store)
	return sum, problems
}

// text imports a text as a history file.
func (m *machine) text(text string) (Summary, []string) {
	m.Helper()
	return m.imports(put(m.T, filepath.Join(m.root, "history"), text))
}

func (m *machine) rows() (rows []*record.HistoryRow) {
	m.Helper()
	for row, err := range m.store.History(context.Background(), record.HistoryFilter{OldestFirst: true}) {
		if err != nil {
			m.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// lines are the rows in short form: what happened, whichever event says so.
func (m *machine) lines() (lines []string) {
	m.Helper()
	for _, r := range m.rows() {
		line := fmt.Sprintf("%s %s %s-%s.%s %s %s", r.Time.UTC().Format("2006-01-02T15:04:05"), r.Action, r.Package, r.Version, r.Arch, r.Result, r.Source)
		if r.Previous != nil {
			line += " was " + *r.Previous
		}
		if r.Outcome != nil {
			line += " commit " + string(*r.Outcome)
		}
		if len(r.Advisories) > 0 {
			line += " " + strings.Join(r.Advisories, ",")
		}
		if r.Advisory != nil {
			line += " by " + *r.Advisory
		}
		lines = append(lines, line)
	}
	return lines
}

// shows fails if the record shows anything else.
func (m *machine) shows(want ...string) {
	m.Helper()
	if diff := cmp.Diff(want, m.lines()); diff != "" {
		m.Errorf("-want +got\n%s", diff)
	}
	m.intact()
}

// intact fails if the record does not verify, views included.
func (m *machine) intact() {
	m.Helper()
	v, err := m.store.Verify(m.Context(), "")
	if err != nil || v.Result != proof.Intact {
		m.Errorf("verify: %+v, %v", v, err)
	}
}

// events are the import events on record.
func (m *machine) events() (imports []*record.Import) {
	m.Helper()
	var b bytes.Buffer
	if err := m.store.Export(m.Context(), &b, 0); err != nil {
		m.Fatal(err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		var l struct{ Event record.Event }
		if err := json.Unmarshal(line, &l); err != nil {
			m.Fatal(err)
		}
		if l.Event.Import != nil {
			imports = append(imports, l.Event.Import)
		}
	}
	return imports
}

var runs = []string{"install", "update", "purge", "reinstall", "failed-aborted"}

// The histories of real runs say what the frames of the same runs announced.
func TestRecordedRuns(t *testing.T) {
	m := newMachine(t)
	var files, want []string
	for _, run := range runs {
		files = append(files, "../zypp/testdata/libzypp-17.25.7-"+run+".history")
		want = append(want, announced(t, "../../plugin/testdata/libzypp-17.25.7-"+run+".frames")...)
	}
	if sum, problems := m.imports(files...); sum.Added != len(want) || len(problems) > 0 {
		t.Errorf("%+v, %q", sum, problems)
	}
	var got []string
	for _, r := range m.rows() {
		kind := "installs"
		if r.Action == "remove" {
			kind = "removes"
		}
		got = append(got, fmt.Sprintf("%s %s-%s.%s", kind, r.Package, r.Version, r.Arch))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	const k, adv = "kernel-default-6.4.0-150600.23.", " SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234"
	const at = "2026-11-23T06:51:"
	m.shows(
		at+"10 install "+k+"17.1.x86_64 ok import",
		at+"10 install "+livePatch+"-1-150600.1.3.1.x86_64 ok import",
		at+"10 install kernel-livepatch-nomv-default-1-150600.1.3.1.x86_64 ok import",
		at+"10 install kernel-macros-6.4.0-150600.23.17.1.noarch ok import",
		at+"11 install "+k+"22.1.x86_64 ok import"+adv,
		at+"11 upgrade "+livePatch+"-5-150600.2.1.x86_64 ok import was 1-150600.1.3.1"+adv,
		at+"11 upgrade kernel-livepatch-nomv-default-5-150600.2.1.x86_64 ok import was 1-150600.1.3.1"+adv,
		at+"11 upgrade kernel-macros-6.4.0-150600.23.22.1.noarch ok import was 6.4.0-150600.23.17.1"+adv,
		at+"11 remove "+k+"17.1.x86_64 ok import",
		at+"11 remove "+livePatch+"-1-150600.1.3.1.x86_64 ok import",
		at+"12 reinstall kernel-macros-6.4.0-150600.23.22.1.noarch ok import was 6.4.0-150600.23.22.1",
		at+"12 install kernel-prefail-1-1.x86_64 failed import commit aborted",
	)
	if sum, _ := m.imports(files...); sum.Added+sum.Commits+sum.Linked != 0 || sum.Known != len(want) {
		t.Errorf("again: %+v", sum)
	}
}

// announced is the step list that libzypp sent at COMMITBEGIN, tracked packages only.
func announced(t *testing.T, path string) (steps []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range strings.Split(string(b), "\x00") {
		body, ok := strings.CutPrefix(strings.TrimSpace(frame), "COMMITBEGIN")
		if !ok {
			continue
		}
		var list struct {
			TransactionStepList []struct {
				Type     string
				Solvable struct{ N, V, R, A string }
			}
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list.TransactionStepList {
			kind := map[string]string{"+": "installs", "M": "installs", "-": "removes"}[s.Type]
			if strings.HasPrefix(s.Solvable.N, "kernel") {
				steps = append(steps, fmt.Sprintf("%s %s-%s-%s.%s", kind, s.Solvable.N, s.Solvable.V, s.Solvable.R, s.Solvable.A))
			}
		}
	}
	return steps
}

// Each event says which lines of which file it comes from, and what the history knows about who did
// it.
func TestEvent(t *testing.T) {
	m := newMachine(t)
	m.zone = time.FixedZone("+02:00", 7200)
	path := filepath.Join(m.root, "history")
	m.text(`2026-03-01 10:00:00|radd   |r|https://u:secret@example.com|
2026-03-01 10:00:01|command|root@db01|'zypper' 'in' '--plus-repo' 'https://u:secret@example.com/x' 'dracut'|change:1\|2
# 2026-03-01 10:00:02 dracut-059-1.x86_64.rpm installed ok
2026-03-01 10:00:02|install|dracut|059-1|x86_64|root@db01|r|abc|change:1\|2
2026-03-01 10:00:02|install|bash|5-1|x86_64||r|abc|change:1\|2
2026-03-01 10:00:03|patch  |P-1|1|noarch|r|important|security|needed|applied|change:1\|2
`)
	events := m.events()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	got := events[0]
	at := func(second int) record.Timestamp {
		return record.At(time.Date(2026, 3, 1, 8, 0, second, 0, time.UTC))
	}
	want := &record.Import{
		Commit: got.Commit, Time: at(1), Zone: "+02:00", User: "root@db01", UserData: "change:1|2",
		Command: `'zypper' 'in' '--plus-repo' 'https://***@example.com/x' 'dracut'`,
		Changes: []record.ImportedChange{{
			Change: record.Change{Kind: "support", Action: "install", Package: "dracut", Arch: "x86_64", Version: "059-1", Result: "ok", Repo: "r", Checksum: "abc"},
			Time:   at(2), UTCOffset: "+02:00", Requested: "root@db01",
			Line: record.HistoryLine{File: path, Number: 4, SHA256: "f2c9f4d1e9a5d1a7b3a3b7e0"},
		}},
		Advisories: []record.Advisory{{ID: "P-1", Repo: "r", Severity: "important", Category: "security", OldState: "needed", NewState: "applied"}},
		Lines:      []record.HistoryLine{{File: path, Number: 2}, {File: path, Number: 6}},
	}
	want.Changes[0].Line.SHA256 = sum(`2026-03-01 10:00:02|install|dracut|059-1|x86_64|root@db01|r|abc|change:1\|2`)
	want.Lines[0].SHA256 = sum(`2026-03-01 10:00:01|command|root@db01|'zypper' 'in' '--plus-repo' 'https://u:secret@example.com/x' 'dracut'|change:1\|2`)
	want.Lines[1].SHA256 = sum(`2026-03-01 10:00:03|patch  |P-1|1|noarch|r|important|security|needed|applied|change:1\|2`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r := m.rows()[0]
	if *r.Command != want.Command || *r.UserData != want.UserData || r.TimeSource != "history" || r.Source != "import" ||
		r.Actor.Login != nil || r.BootID != "" || *r.Commit != got.Commit || r.UTCOffset != "+02:00" {
		t.Errorf("%+v", r)
	}
}

// What the administrator excludes from the record is not imported either, and a commit that was
// recorded without it is recognized.
func TestConfiguredAway(t *testing.T) {
	m := newMachine(t)
	path := put(t, filepath.Join(m.root, "history"), `2026-03-01 10:00:01|command|root@db01|'zypper' '--token=abc' 'in' 'dracut'|change:1|
2026-03-01 10:00:02|install|dracut|059-1|x86_64|root@db01|r|abc|change:1|
`)
	o := Options{
		Files: []string{path}, Zone: m.zone, Root: m.root, Version: "1.0.0", NoUserData: true,
		Redact:  func(arg string) string { return strings.ReplaceAll(arg, "abc", "***") },
		Problem: func(p Problem) { t.Error(p) },
	}
	for _, added := range []int{1, 0} {
		if sum, err := Import(t.Context(), m.store, o); err != nil || sum.Added != added {
			t.Fatalf("%+v, %v", sum, err)
		}
	}
	if r := m.rows()[0]; *r.Command != "'zypper' '--token=***' 'in' 'dracut'" || r.UserData != nil {
		t.Errorf("command %q, user data %v", *r.Command, r.UserData)
	}
}

// Every known defect of a history, in one.
func TestDefects(t *testing.T) {
	m := newMachine(t)
	sum, problems := m.text(strings.Join([]string{
		// An old libzypp wrote no commands and fewer columns.
		"2010-06-01 16:11:16|install|kernel-default|2.6.32-1|x86_64|2848:y2base|repo|",
		"2010-06-01 16:11:17|remove |dracut|1-1|x86_64|2848:y2base|",
		"2010-06-01 16:11:18|install|dracut|1-2|x86_64",
		"2010-06-01 18:00:00|install|dracut|1-3|x86_64",
		// A failure that was ignored: the record lies. Tried again: it does not.
		"2020-01-01 10:00:00|command|root@vm|'zypper' 'up'|",
		"# 2020-01-01 10:00:01 dracut-1-4.x86_64.rpm install failed",
		"# rpm output:",
		"# error: %prein(dracut-1-4.x86_64) scriptlet failed",
		"2020-01-01 10:00:01|install|dracut|1-4|x86_64||repo|abc|",
		"2020-01-02 10:00:00|command|root@vm|'zypper' 'up' 'it's' 'a\\|b'|",
		"# 2020-01-02 10:00:01 dracut-1-4.x86_64.rpm install failed",
		"# 2020-01-02 10:00:02 dracut-1-4.x86_64.rpm installed ok",
		"2020-01-02 10:00:02|install|dracut|1-4|x86_64||repo|abc|",
		"# 2020-01-02 10:00:03 kernel-default-2.6.32-1.x86_64 remove failed",
		// What a power cut, another editor and a translated terminal leave behind.
		"\x00\x00\x002020-01-03 10:00:00|command|root@vm|'zypper' 'rm' '\xff\xfe'|\r",
		"2020-01-03 10:00:00|remove |dracut|1-4|x86_64|root@vm|\r",
		// A broken command: what follows belongs to no commit.
		"2020-01-04 10:0",
		"2020-01-04 10:00:00|install|dracut|1-5|x86_64||repo|abc|",
		"2020-01-04 10:00:01|frobbed|something|new|",
		"2020-01-04 10:00:02|install|dracut",
		"2020-01-04 10:00:02|install|dracut|1:2|x86_64||repo|abc|",
		strings.Repeat("x", 2<<20),
		// The same line twice.
		"2020-01-05 10:00:00|command|root@vm|'zypper' 'in' '-f' 'dracut'|",
		"2020-01-05 10:00:01|install|dracut|1-5|x86_64||repo|abc|",
		"2020-01-05 10:00:01|install|dracut|1-5|x86_64||repo|abc|",
		"2020-01-06 10:00:00|install|dracut|1-6|x86_64||repo|abc|other commit",
		"2020-01-07 10:00:00|command|root@vm|'torn",
	}, "\n"))
	m.shows(
		"2010-06-01T16:11:16 install kernel-default-2.6.32-1.x86_64 ok import",
		"2010-06-01T16:11:17 remove dracut-1-1.x86_64 ok import",
		"2010-06-01T16:11:18 install dracut-1-2.x86_64 ok import",
		"2010-06-01T18:00:00 upgrade dracut-1-3.x86_64 ok import was 1-2",
		"2020-01-01T10:00:01 upgrade dracut-1-4.x86_64 failed import was 1-3 commit failed",
		"2020-01-02T10:00:01 upgrade dracut-1-4.x86_64 failed import was 1-3 commit failed",
		"2020-01-02T10:00:02 upgrade dracut-1-4.x86_64 ok import was 1-3 commit failed",
		"2020-01-02T10:00:03 remove kernel-default-2.6.32-1.x86_64 failed import commit failed",
		"2020-01-03T10:00:00 remove dracut-1-4.x86_64 ok import",
		"2020-01-04T10:00:00 install dracut-1-5.x86_64 ok import",
		"2020-01-05T10:00:01 reinstall dracut-1-5.x86_64 ok import was 1-5",
		"2020-01-05T10:00:01 reinstall dracut-1-5.x86_64 ok import was 1-5",
		"2020-01-06T10:00:00 upgrade dracut-1-6.x86_64 ok import was 1-5",
	)
	var commands []string
	for _, i := range m.events() {
		commands = append(commands, i.Command)
	}
	want := []string{"", "", "'zypper' 'up'", "'zypper' 'up' 'it's' 'a|b'", "'zypper' 'rm' '\uFFFD'", "", "'zypper' 'in' '-f' 'dracut'", ""}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Error(diff)
	}
	if sum.Broken != 5 || len(problems) != 5 {
		t.Errorf("%+v, %q", sum, problems)
	}
	for i, want := range []string{"line 17: ", "line 20: ", "line 21: ", "line 22: longer", "line 27: unfinished"} {
		if i < len(problems) && !strings.Contains(problems[i], want) {
			t.Errorf("problem %q, want %q", problems[i], want)
		}
	}
}

// In one transaction, rpm names only the package that failed, without a version.
func TestFailuresWithoutVersions(t *testing.T) {
	m := newMachine(t)
	text := strings.Join([]string{
		"2026-10-02 10:00:00|command|root@host|'zypper' 'in' 'kernel-livepatch-6_12_0-160000_5-default'|",
		"# 2026-10-02 10:00:05 kernel-livepatch-6_12_0-160000_5-default install failed",
		"# rpm output:",
		"# error: %pre(kernel-livepatch-6_12_0-160000_5-default-2-160000.1.1.x86_64) scriptlet failed, exit status 1",
		"#",
		"2026-10-02 11:00:00|command|root@host|'zypper' 'rm' 'kernel-default-6.12.0-160000.5.1'|",
		"# 2026-10-02 11:00:05 kernel-default uninstall failed",
		"2026-10-02 12:00:00|command|root@host|'zypper' 'up'|",
		"2026-10-02 12:00:04|install|dracut|110-1.1|x86_64||repo|abc|",
		"# 2026-10-02 12:00:04 dracut installed ok",
		"# 2026-10-02 12:00:05 kernel-default install failed",
		"# 2026-10-02 12:00:05 of-another-kind install failed",
		"2026-10-02 13:00:00|command|root@host|'zypper' 'in' 'kernel-default'|",
		"# 2026-10-02 13:00:01 kernel-default install failed",
		"# Commit was aborted, failed to run zypp-rpm",
		"",
	}, "\n")
	for range 2 { // the second time nothing is new
		m.text(text)
		m.shows(
			"2026-10-02T10:00:05 install kernel-livepatch-6_12_0-160000_5-default-unknown.unknown failed import commit failed",
			"2026-10-02T11:00:05 remove kernel-default-unknown.unknown failed import commit failed",
			"2026-10-02T12:00:04 install dracut-110-1.1.x86_64 ok import commit failed",
			"2026-10-02T12:00:05 install kernel-default-unknown.unknown failed import commit failed",
			"2026-10-02T13:00:01 install kernel-default-unknown.unknown failed import commit aborted",
		)
	}
	for _, r := range m.rows() {
		if r.Package == "kernel-default" && r.KernelRelease != nil {
			t.Errorf("a kernel without a version is %s", *r.KernelRelease)
		}
	}
}

// Such a line belongs to a change on record that failed, never to one that succeeded.
func TestFailureWithoutVersionIsLinked(t *testing.T) {
	for result, linked := range map[record.Result]int{record.ResultFailed: 1, record.ResultOK: 0} {
		m := newMachine(t)
		m.commit("06:51:09", func(_ *record.CommitBegin, e *record.CommitEnd) {
			e.Changes = e.Changes[:1]
			e.Changes[0].Result, e.Outcome = result, record.OutcomeFailed
		})
		sum, _ := m.text("2026-11-23 06:51:09|command|root@vm|'zypper' '--non-interactive' '--no-gpg-checks' 'up'|\n" +
			"# 2026-11-23 06:51:11 kernel-default install failed\n")
		if sum.Linked != linked || sum.Added != 1-linked {
			t.Errorf("%s: %+v", result, sum)
		}
		m.intact()
	}
}

// What the plugin recorded is not added; the history is further evidence for it.
func TestRecordedCommitIsLinked(t *testing.T) {
	text, err := os.ReadFile("../zypp/testdata/libzypp-17.25.7-update.history")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		commit func(begin *record.CommitBegin, end *record.CommitEnd)
		begun  string
		linked int
	}{
		"the same":                    {nil, "06:51:09", 4},
		"begun long before its rpm":   {nil, "06:21:09", 4},
		"begun three seconds later":   {nil, "06:51:14", 0},
		"over three seconds before":   {nil, "06:51:02", 0},
		"another command":             {func(b *record.CommitBegin, _ *record.CommitEnd) { b.Command = []string{"zypper", "dup"} }, "06:51:09", 0},
		"a command that is not known": {func(b *record.CommitBegin, _ *record.CommitEnd) { b.Command = nil }, "06:51:09", 4},
		"redacted further":            {func(b *record.CommitBegin, _ *record.CommitEnd) { b.Command[1] = "***" }, "06:51:09", 4},
		"other user data":             {func(b *record.CommitBegin, _ *record.CommitEnd) { b.UserData = "x" }, "06:51:09", 0},
		"a package more":              {func(_ *record.CommitBegin, e *record.CommitEnd) { e.Changes[0].Version = "6.4.0-1" }, "06:51:09", 3},
		"still open":                  {func(_ *record.CommitBegin, e *record.CommitEnd) { e.Outcome = "" }, "06:51:09", 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.commit(tt.begun, tt.commit)
			before := m.lines()
			sum, _ := m.text(string(text))
			if sum.Linked != tt.linked || sum.Added != 4-tt.linked {
				t.Errorf("%+v, want %d linked", sum, tt.linked)
			}
			if got := m.lines(); len(got) != len(before)+sum.Added {
				t.Errorf("%d rows: %q", len(got), got)
			}
			m.intact()
			for _, i := range m.events() {
				for _, r := range i.Recorded {
					if r.Event != 3 && name != "still open" || r.Line.SHA256 == "" {
						t.Errorf("recorded %+v", r)
					}
				}
			}
			if again, _ := m.text(string(text)); again.Commits != 0 || again.Known != 4 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// libzypp writes the local time of its caller, whatever the machine's zone is. The plugin recorded
// that caller's UTC offset.
func TestRecordedCommitOfAnotherZoneIsLinked(t *testing.T) {
	const line = "2026-03-01 07:00:01|install|dracut|2-1|x86_64|root@vm|r||\n"
	for offset, linked := range map[string]int{"-05:00": 1, "+00:00": 0, "": 0} {
		m := newMachine(t)
		begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, m.root, "1.0.0"), Begin: &record.CommitBegin{Announced: []record.Change{}}}
		end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, m.root, "1.0.0")}
		begin.Time.Time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		end.Time.Time, end.UTCOffset = begin.Time.Add(2*time.Second), offset
		end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{
			{Kind: "support", Action: "install", Package: "dracut", Arch: "x86_64", Version: "2-1", Result: "ok"},
		}}
		if err := m.store.Append(t.Context(), begin, end); err != nil {
			t.Fatal(err)
		}
		if sum, _ := m.text(line); sum.Linked != linked {
			t.Errorf("offset %q: %+v, want %d linked", offset, sum, linked)
		}
	}
}

// commit records the update of the fixtures as the plugin would; rpm finished at 06:51:11.
func (m *machine) commit(begun string, change func(*record.CommitBegin, *record.CommitEnd)) {
	m.Helper()
	at, err := time.Parse(time.RFC3339, "2026-11-23T"+begun+"Z")
	if err != nil {
		m.Fatal(err)
	}
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, m.root, "1.0.0")}
	begin.Time.Time = at
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, m.root, "1.0.0")}
	end.Time.Time = time.Date(2026, 11, 23, 6, 51, 12, 500e6, time.UTC)
	if at.Before(end.Time.Time.Add(-5*time.Second)) && begun == "06:51:02" {
		end.Time.Time = at.Add(5 * time.Second)
	}
	begin.Begin = &record.CommitBegin{Command: []string{"zypper", "--non-interactive", "--no-gpg-checks", "up"}, Announced: []record.Change{}}
	end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{
		{Kind: "kernel", Action: "install", Package: "kernel-default", Arch: "x86_64", Version: "6.4.0-150600.23.22.1", Result: "ok"},
		{Kind: "livepatch", Action: "upgrade", Package: livePatch, Arch: "x86_64", Version: "5-150600.2.1", Result: "ok"},
		{Kind: "support", Action: "upgrade", Package: "kernel-livepatch-nomv-default", Arch: "x86_64", Version: "5-150600.2.1", Result: "ok"},
		{Kind: "support", Action: "upgrade", Package: "kernel-macros", Arch: "noarch", Version: "6.4.0-150600.23.22.1", Result: "ok"},
	}}
	if change != nil {
		change(begin.Begin, end.End)
	}
	events := []*record.Event{begin, end}
	if end.End.Outcome == "" {
		begin.Begin.Announced = end.End.Changes
		events = events[:1]
	}
	if err := m.store.Append(m.Context(), events...); err != nil {
		m.Fatal(err)
	}
}

// What was found as drift is linked, too: by rpm's install time, or between two looks.
func TestDriftIsLinked(t *testing.T) {
	at := func(clock string) record.Timestamp {
		v, err := time.Parse(time.DateTime, "2026-03-01 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return record.At(v)
	}
	m := newMachine(t)
	drift := &record.Event{Header: store.NewHeader(record.KindDrift, m.root, "1.0.0")}
	drift.Time = at("12:00:00")
	installed := at("11:00:01")
	drift.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: at("10:00:00"), Installed: []record.Package{}, Changes: []record.Change{
		{Kind: "support", Action: "install", Package: "dracut", Arch: "x86_64", Version: "2-1", Result: "ok", InstallTime: &installed},
		{Kind: "support", Action: "remove", Package: "dracut", Arch: "x86_64", Version: "1-1", Result: "ok"},
	}}
	if err := m.store.Append(m.Context(), drift); err != nil {
		t.Fatal(err)
	}
	const history = `2026-03-01 09:00:00|command|root@vm|'zypper' 'rm' 'dracut'|
2026-03-01 09:00:01|remove |dracut|1-1|x86_64|root@vm|
2026-03-01 09:30:00|command|root@vm|'zypper' 'in' 'dracut'|
2026-03-01 09:30:01|install|dracut|1-1|x86_64|root@vm|r||
2026-03-01 10:30:00|command|root@vm|'zypper' 'rm' 'dracut'|
2026-03-01 10:30:01|remove |dracut|1-1|x86_64|root@vm|
2026-03-01 11:00:00|command|root@vm|'zypper' 'in' 'dracut'|
2026-03-01 11:00:01|install|dracut|2-1|x86_64|root@vm|r||
`
	if sum, _ := m.text(history); sum.Added != 2 || sum.Linked != 2 {
		t.Errorf("%+v", sum)
	}
	m.shows(
		"2026-03-01T09:00:01 remove dracut-1-1.x86_64 ok import",
		"2026-03-01T09:30:01 install dracut-1-1.x86_64 ok import",
		"2026-03-01T11:00:01 install dracut-2-1.x86_64 ok drift",
		"2026-03-01T12:00:00 remove dracut-1-1.x86_64 ok drift",
	)
}

// A history counts in seconds. A line after those of a recorded commit comes after it, even in the
// second in which the commit ended.
func TestOrderWithinASecond(t *testing.T) {
	m := newMachine(t)
	m.commit("06:51:09", func(_ *record.CommitBegin, e *record.CommitEnd) { e.Changes = e.Changes[:1] }) // ends at 06:51:12
	m.text(`2026-11-23 06:51:10|command|root@vm|'zypper' '--non-interactive' '--no-gpg-checks' 'up'|
2026-11-23 06:51:12|install|kernel-default|6.4.0-150600.23.22.1|x86_64|root@vm|r||
2026-11-23 06:51:12|command|root@vm|'zypper' 'in' 'dracut'|
2026-11-23 06:51:12|install|dracut|2-1|x86_64|root@vm|r||
# 2026-11-23 06:51:12 kernel-devel-1-1.noarch.rpm install failed
2026-11-23 06:51:13|install|kernel-macros|6.4.0-1|noarch|root@vm|r||
`)
	var got []string
	for _, r := range m.rows() {
		got = append(got, r.Time.UTC().Format("05.000000 ")+r.Package)
	}
	want := []string{"12.500000 kernel-default", "12.500001 dracut", "12.500001 kernel-devel", "13.000000 kernel-macros"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m.intact()
}

// Files come in any order; older ones may have been imported before, or come with a copy.
func TestFilesInOrder(t *testing.T) {
	m := newMachine(t)
	dir := t.TempDir()
	old := put(t, filepath.Join(dir, "history-20250101"), "2024-01-01 10:00:00|command|root@vm|'zypper' 'in' 'dracut'|\n2024-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|\n")
	current := put(t, filepath.Join(dir, "history"), "2024-01-01 10:00:02|install|dracut-network|1-1|x86_64||r|a|\n"+
		"2025-02-01 10:00:00|command|root@vm|'zypper' 'up'|\n2025-02-01 10:00:01|install|dracut|1-2|x86_64||r|a|\n")
	copied := put(t, filepath.Join(dir, "a-copy"), "2025-02-01 10:00:00|command|root@vm|'zypper' 'up'|\n2025-02-01 10:00:01|install|dracut|1-2|x86_64||r|a|\n")
	empty := put(t, filepath.Join(dir, "empty"), "")
	sum, problems := m.imports(current, copied, old, empty, current, filepath.Join(dir, "missing"))
	if sum.Added != 3 || sum.Known != 1 || len(problems) != 1 || !strings.Contains(problems[0], "missing") {
		t.Errorf("%+v, %q", sum, problems)
	}
	m.shows(
		"2024-01-01T10:00:01 install dracut-1-1.x86_64 ok import",
		"2024-01-01T10:00:02 install dracut-network-1-1.x86_64 ok import",
		"2025-02-01T10:00:01 upgrade dracut-1-2.x86_64 ok import was 1-1",
	)
	if rows := m.rows(); *rows[0].Commit != *rows[1].Commit || *rows[0].Commit == *rows[2].Commit {
		t.Error("a rotation does not end a commit")
	}
	next := put(t, filepath.Join(dir, "history"), "2025-03-01 10:00:00|command|root@vm|'zypper' 'up'|\n2025-03-01 10:00:01|install|dracut|1-3|x86_64||r|a|\n")
	m.imports(next)
	if got := m.lines(); !slices.Contains(got, "2025-03-01T10:00:01 upgrade dracut-1-3.x86_64 ok import was 1-2") {
		t.Errorf("what the record knew before the file counts: %q", got)
	}
	next = put(t, filepath.Join(dir, "history"), "2025-04-01 10:00:00|command|root@vm|'zypper' 'up'|\n2025-04-01 10:00:01|install|dracut|1-4|x86_64||r|a|\n")
	m.imports(put(t, filepath.Join(dir, "empty"), ""), next)
	if got := m.lines(); !slices.Contains(got, "2025-04-01T10:00:01 upgrade dracut-1-4.x86_64 ok import was 1-3") {
		t.Errorf("an empty file next to it changes that: %q", got)
	}
}

// A history that ends anywhere within one commit, and is imported each time, shows the same as in
// one piece.
func TestCutInEveryLine(t *testing.T) {
	const history = `2026-01-01 10:00:00|command|root@vm|'zypper' 'in' '-f' 'dracut'|
2026-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|
2026-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|
# 2026-01-01 10:00:02 kernel-rt-1-1.x86_64.rpm install failed
2026-01-01 10:00:02|install|kernel-rt|1-1|x86_64||r|a|
# Commit was aborted.
2026-01-01 10:00:03|patch  |P-1|1|noarch|r|important|security|needed|applied|
2026-01-01 10:00:03|patch  |P-2|1|noarch|r|important|security|needed|applied|
2026-01-02 10:00:00|command|root@vm|'zypper' 'up'|
`
	m := newMachine(t)
	for cut := strings.IndexByte(history, '\n'); cut < len(history); cut++ {
		if strings.HasSuffix(history[:cut+1], "\n") || cut%50 == 0 {
			m.text(history[:cut+1])
		}
	}
	m.shows(
		"2026-01-01T10:00:01 install dracut-1-1.x86_64 ok import commit aborted P-1,P-2",
		"2026-01-01T10:00:01 reinstall dracut-1-1.x86_64 ok import was 1-1 commit aborted P-1,P-2",
		"2026-01-01T10:00:02 install kernel-rt-1-1.x86_64 failed import commit aborted",
	)
}

// If a rotated file is missing, the next one does not continue the one before.
func TestMissingFile(t *testing.T) {
	m := newMachine(t)
	dir := t.TempDir()
	m.imports(
		put(t, filepath.Join(dir, "a"), "2026-01-01 10:00:00|command|root@vm|'zypper' 'in' 'dracut'|\n2026-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|\n"),
		put(t, filepath.Join(dir, "b"), "2026-02-01 10:00:01|install|dracut|1-2|x86_64||r|a|\n"),
	)
	rows := m.rows()
	if len(rows) != 2 || rows[0].Command == nil || rows[1].Command != nil || *rows[0].Commit == *rows[1].Commit {
		t.Errorf("%q", m.lines())
	}
}

// One change on record matches one line only.
func TestOneLineForOneChange(t *testing.T) {
	m := newMachine(t)
	m.commit("06:51:09", nil)
	const command = "2026-11-23 06:51:11|command|root@vm|'zypper' '--non-interactive' '--no-gpg-checks' 'up'|\n"
	const line = "2026-11-23 06:51:11|install|kernel-macros|6.4.0-150600.23.22.1|noarch||lab|a|\n"
	if sum, _ := m.text(command + line); sum.Linked != 1 || sum.Added != 0 {
		t.Errorf("%+v", sum)
	}
	if sum, _ := m.text(command + line + line); sum.Linked != 0 || sum.Added != 1 {
		t.Errorf("with a second line: %+v", sum)
	}
}

func TestNothingToRead(t *testing.T) {
	m := newMachine(t)
	fifo := filepath.Join(m.root, "dir")
	if err := os.Mkdir(fifo, 0o755); err != nil {
		t.Fatal(err)
	}
	var problems int
	_, err := Import(t.Context(), m.store, Options{
		Files: []string{fifo, "/nonexistent", put(t, filepath.Join(m.root, "x.gz"), "\x1f\x8bbroken")},
		Zone:  time.UTC, Root: m.root, Problem: func(Problem) { problems++ },
	})
	if !errors.Is(err, ErrNothingRead) || problems != 3 {
		t.Errorf("%v, %d problems", err, problems)
	}
}
