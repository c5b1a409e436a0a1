package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	kernelList = `{"TransactionStepList":[{"solvable":{"a":"x86_64","n":"kernel-default","r":"150600.23.42.2","v":"6.4.0"},"type":"M"}]}`
	endList    = `{"TransactionStepList":[{"solvable":{"a":"x86_64","n":"kernel-default","r":"150600.23.42.2","v":"6.4.0"},"stage":"ok","type":"M"}]}`
	otherList  = `{"TransactionStepList":[{"solvable":{"a":"x86_64","n":"bash","r":"1","v":"5"},"type":"+"}]}`
)

// frames writes frames as libzypp 17.25 does, each "COMMAND body".
func frames(list ...string) string {
	var b strings.Builder
	for _, f := range list {
		command, body, _ := strings.Cut(f, " ")
		b.WriteString(command + "\n\n" + body + "\x00")
	}
	return b.String()
}

// serve runs a whole session below root and returns the answers and what was written to stderr.
func serve(t *testing.T, root, input string) (answers, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	s := NewSession(root, "test", func(string) string { return "" }, &log)
	if err := s.Serve(strings.NewReader(input), &out, 0); err != nil {
		t.Errorf("Serve: %v", err)
	}
	return strings.ReplaceAll(out.String(), "\n\n\x00", " "), log.String()
}

// outcomes lists the commits of the record below root: outcome and results.
func outcomes(t *testing.T, root string) (got []string) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schematest.Record(t, s)
	for row, err := range s.History(t.Context(), record.HistoryFilter{OldestFirst: true}) {
		if err != nil {
			t.Fatal(err)
		}
		o := "open"
		if row.Outcome != nil {
			o = string(*row.Outcome)
		}
		got = append(got, o)
	}
	return got
}

func TestEveryFrameIsAnswered(t *testing.T) {
	answers, _ := serve(t, t.TempDir(), frames("PLUGINBEGIN", "PACKAGESETCHANGED", "NEWCOMMAND x", "COMMITBEGIN "+otherList,
		"COMMITEND "+otherList, "PLUGINEND", "_DISCONNECT"))
	if want := "ACK ACK _ENOMETHOD ACK ACK ACK ACK "; answers != want {
		t.Errorf("got %q, want %q", answers, want)
	}
}

func TestCommitWithoutTrackedPackageLeavesNothing(t *testing.T) {
	root := t.TempDir()
	_, stderr := serve(t, root, frames("PLUGINBEGIN", "COMMITBEGIN "+otherList, "COMMITEND "+otherList, "PLUGINEND", "_DISCONNECT"))
	if entries, _ := os.ReadDir(root); len(entries) != 0 || stderr != "" {
		t.Errorf("files %v, stderr %q", entries, stderr)
	}
}

// However a session ends, the record says how.
func TestEndsOfSession(t *testing.T) {
	begin := frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList)
	for name, tt := range map[string]struct{ rest, want string }{
		"all well":                          {frames("COMMITEND "+endList, "PLUGINEND", "_DISCONNECT"), "failed"}, // no rpm installed it
		"aborted":                           {frames("PLUGINEND", "_DISCONNECT"), "aborted"},
		"end of input":                      {"", "interrupted"},
		"end of input in a frame":           {"COMMITEND\n\n{\"Trans", "interrupted"},
		"last frame without its NUL":        {"COMMITEND\n\n" + endList, "failed"},
		"end of input after the end":        {frames("COMMITEND " + endList), "failed"},
		"dropped by libzypp, which goes on": {frames("_DISCONNECT"), "open"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			serve(t, root, begin+tt.rest)
			want := []string{tt.want}
			if _, err := (rpm.DB{Root: root}).Installed(t.Context(), nil); err != nil && tt.want == "failed" {
				want = []string{"completed"} // without an rpm to ask, it is unknown, so not failed
			}
			if diff := cmp.Diff(want, outcomes(t, root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An unreadable step list may contain a kernel: it is recorded, and the difference of the snapshots
// says what happened.
func TestUnreadableStepListIsRecorded(t *testing.T) {
	root := t.TempDir()
	serve(t, root, frames("PLUGINBEGIN", "COMMITBEGIN {\"Trans", "COMMITEND {", "PLUGINEND", "_DISCONNECT"))
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sum, err := s.Summarize(t.Context())
	if err != nil || sum.Commits != 1 || sum.Open != 0 {
		t.Errorf("commits %d, open %d, error %v", sum.Commits, sum.Open, err)
	}
}

// A step list that libzypp did not finish before it ended begins nothing.
func TestTornCommitBegin(t *testing.T) {
	root := t.TempDir()
	serve(t, root, frames("PLUGINBEGIN")+"COMMITBEGIN\n\n"+kernelList[:60])
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("files %v", entries)
	}
}

// A commit that was left open is over when the same libzypp begins another one, as packagekitd
// does; for others it stays open as long as its libzypp lives.
func TestOpenCommitOfALivingProcess(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	dropped := frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "_DISCONNECT")
	serve(t, root, dropped)
	rec := recorder.New(root, "test", func(string) string { return "" }, io.Discard)
	if err := rec.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"open"}, outcomes(t, root)); diff != "" {
		t.Errorf("after catching up (-want +got):\n%s", diff)
	}
	serve(t, root, dropped)
	if diff := cmp.Diff([]string{"interrupted", "open"}, outcomes(t, root)); diff != "" {
		t.Errorf("after the next commit (-want +got):\n%s", diff)
	}
}

// A panic while recording is reported on stderr, and zypper gets its answers.
func TestPanicHarmsNobody(t *testing.T) {
	var out, log bytes.Buffer
	s := NewSession(t.TempDir(), "test", func(string) string { panic("no environment") }, &log)
	input := frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "COMMITEND "+kernelList, "PLUGINEND", "_DISCONNECT")
	if err := s.Serve(strings.NewReader(input), &out, 0); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "ACK\n\n\x00"); n != 5 {
		t.Errorf("%d answers: %q", n, out.String())
	}
	if !strings.Contains(log.String(), "no environment") {
		t.Errorf("stderr: %q", log.String())
	}
}

// Work that does not end delays zypper by five seconds, for all frames together.
func TestAnswersComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := NewSession(t.TempDir(), "test", func(string) string { <-release; panic("enough") }, io.Discard)
		in, toPlugin := io.Pipe()
		fromPlugin, out := io.Pipe()
		served := make(chan error)
		go func() { served <- s.Serve(in, out, 0) }()
		for _, tt := range []struct {
			frame string
			want  time.Duration
		}{
			{"PLUGINBEGIN", 0}, {"COMMITBEGIN " + kernelList, recorder.AnswerTime}, {"COMMITEND " + kernelList, 0}, {"PLUGINEND", 0}, {"_DISCONNECT", 0},
		} {
			start := time.Now()
			go io.WriteString(toPlugin, frames(tt.frame))
			answer := make([]byte, len("ACK\n\n\x00"))
			if _, err := io.ReadFull(fromPlugin, answer); err != nil || string(answer) != "ACK\n\n\x00" {
				t.Fatalf("%s: answer %q, %v", tt.frame, answer, err)
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("%.11s: answered after %v, want %v", tt.frame, took, tt.want)
			}
		}
		close(release)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// If the record cannot be written, the events go to the spool, and the next writer takes them in.
func TestUnusableRecordGoesToSpool(t *testing.T) {
	root := t.TempDir()
	path := store.Path(root)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	input := frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "COMMITEND "+kernelList, "PLUGINEND", "_DISCONNECT")
	answers, stderr := serve(t, root, input)
	if answers != "ACK ACK ACK ACK ACK " || !strings.Contains(stderr, "not a database") {
		t.Errorf("answers %q, stderr %q", answers, stderr)
	}
	if n := store.Waiting(root); n != 2 {
		t.Fatalf("%d events in the spool, want 2", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	rec := recorder.New(root, "test", func(string) string { return "" }, io.Discard)
	if err := rec.CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(t, root); len(got) != 1 || got[0] == "open" || store.Waiting(root) != 0 {
		t.Errorf("commits %q, %d events still in the spool", got, store.Waiting(root))
	}
}

func TestStderrIsBounded(t *testing.T) {
	var b bytes.Buffer
	l := recorder.NewLog(&b)
	for range 1000 {
		fmt.Fprint(l, strings.Repeat("x", 100))
	}
	if b.Len() > recorder.MaxLog || b.Len() < recorder.MaxLog/2 {
		t.Errorf("%d bytes in one frame", b.Len())
	}
	before := b.Len()
	l.Reset()
	fmt.Fprint(l, "next frame")
	if b.Len() == before {
		t.Error("the next frame has no room")
	}
}

// The end of a commit waits in the spool because it is too large for a writer with little time:
// meanwhile nobody calls the commit interrupted.
func TestEndThatWaitsIsNotMadeUp(t *testing.T) {
	root := t.TempDir()
	serve(t, root, frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "_DISCONNECT"))
	s, err := store.Open(t.Context(), root, "test")
	if err != nil {
		t.Fatal(err)
	}
	open, err := s.OpenCommits(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("open commits: %v, %v", open, err)
	}
	s.Close()
	bootID := filepath.Join(root, "proc/sys/kernel/random/boot_id")
	if err := errors.Join(os.MkdirAll(filepath.Dir(bootID), 0o755), os.WriteFile(bootID, []byte("another boot\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, root, "test")}
	end.End = &record.CommitEnd{Commit: open[0].Begin.ID, Outcome: record.OutcomeCompleted, Changes: open[0].Begin.Begin.Announced, Problems: []string{strings.Repeat("x", 2<<20)}}
	if err := store.Spool(root, end, errors.New("held"), false); err != nil {
		t.Fatal(err)
	}
	rec := recorder.New(root, "test", func(string) string { return "" }, io.Discard)
	hasty, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, ctx := range []context.Context{hasty, t.Context()} {
		if err := rec.CatchUp(ctx); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"completed"}, outcomes(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
