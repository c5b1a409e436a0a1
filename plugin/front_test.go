package plugin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/frame"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/plugin/front"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// sessionEnd is the result of some frames: the answers, and what is on record.
type sessionEnd struct{ answers, record, err string }

// alone lets the recorder serve a session by itself.
func alone(t *testing.T, r io.Reader) sessionEnd {
	t.Helper()
	return ended(t, func(out io.Writer, s *Session) error { return s.Serve(r, out, 0) })
}

// behindFront lets the front serve a session, and the recorder what it hands over. It says whether
// anything was handed over.
func behindFront(t *testing.T, r io.Reader) (end sessionEnd, recorded bool) {
	t.Helper()
	end = ended(t, func(out io.Writer, s *Session) (err error) {
		own := front.Serve(r, out, func(read []byte, answered int) bool {
			recorded = true
			err = s.Serve(io.MultiReader(bytes.NewReader(read), r), out, answered)
			return true
		})
		if own != nil {
			return own
		}
		return err
	})
	return end, recorded
}

func ended(t *testing.T, serve func(io.Writer, *Session) error) (end sessionEnd) {
	t.Helper()
	root := t.TempDir()
	var out bytes.Buffer
	if err := serve(&out, NewSession(root, "test", func(string) string { return "" }, io.Discard)); err != nil {
		end.err = err.Error()
	}
	end.answers, end.record = out.String(), strings.ReplaceAll(recordOf(t, root), root, "ROOT")
	return end
}

// recordOf describes what is on record below root, without times and ids of events.
func recordOf(t *testing.T, root string) string {
	t.Helper()
	if entries, _ := os.ReadDir(root); len(entries) == 0 {
		return ""
	}
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schematest.Record(t, s)
	var b strings.Builder
	sum, err := s.Summarize(t.Context())
	fmt.Fprintf(&b, "%d commits, %d open, %v\n", sum.Commits, sum.Open, err)
	for row, err := range s.History(t.Context(), record.HistoryFilter{OldestFirst: true}) {
		if err != nil {
			t.Fatal(err)
		}
		userData, outcome := "", record.Outcome("open")
		if row.UserData != nil {
			userData = *row.UserData
		}
		if row.Outcome != nil {
			outcome = *row.Outcome
		}
		fmt.Fprintf(&b, "%q: %s %s-%s.%s: %s, %s\n", userData, row.Action, row.Package, row.Version, row.Arch, row.Result, outcome)
	}
	return b.String()
}

// sameEnd demands that the front makes no difference to a session.
func sameEnd(t *testing.T, input string, reader func(string) io.Reader) {
	t.Helper()
	want := alone(t, reader(input))
	got, recorded := behindFront(t, reader(input))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sessionEnd{})); diff != "" {
		t.Errorf("%.2000q, with a front (-without +with):\n%s", input, diff)
	}
	if !recorded && want.record != "" {
		t.Errorf("%.2000q is recorded without a front", input)
	}
}

func whole(s string) io.Reader { return strings.NewReader(s) }

// zyppList is a list of steps as libzypp writes it.
func zyppList(names ...string) string {
	var steps []string
	for _, n := range names {
		steps = append(steps, fmt.Sprintf("{\n\"solvable\": {\n\"a\": \"x86_64\",\n\"n\": %q,\n\"r\": \"1\",\n\"v\": \"2\"\n},\n\"type\": \"+\"\n}", n))
	}
	return "{\n\"TransactionStepList\": [" + strings.Join(steps, ", ") + "]\n}"
}

// What the front answers by itself, the recorder would only answer.
func TestFrontAnswersByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		input    string
		recorded bool
	}{
		"nothing tracked": {frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList("bash", "lib-devel"), "COMMITEND "+zyppList("bash", "lib-devel"), "PLUGINEND", "_DISCONNECT"), false},
		"empty list":      {frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList(), "COMMITEND "+zyppList(), "PLUGINEND", "_DISCONNECT"), false},
		"content-length":  {"PLUGINBEGIN\ncontent-length:0\n\n\x00_DISCONNECT\ncontent-length:0\n\n\x00", false},
		"kernel":          {frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList("kernel-default"), "COMMITEND "+zyppList("kernel-default"), "PLUGINEND", "_DISCONNECT"), true},
		"second commit": {frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList("bash"), "COMMITEND "+zyppList("bash"), "COMMITBEGIN "+zyppList("kernel-rt"),
			"PLUGINEND", "_DISCONNECT"), true},
		"user data": {"PLUGINBEGIN\nuserdata:first\n\n\x00PLUGINBEGIN\nuserdata:x:y\n\n\x00" + frames("COMMITBEGIN "+zyppList("kernel-rt"), "PLUGINEND", "_DISCONNECT"), true},
		"no user data any more": {"PLUGINBEGIN\nuserdata:first\n\n\x00PLUGINBEGIN\n\n\x00" +
			frames("COMMITBEGIN "+zyppList("kernel-rt"), "PLUGINEND", "_DISCONNECT"), true},
		"another form of list":  {frames("COMMITBEGIN "+otherList, "_DISCONNECT"), true},
		"changed packages":      {frames("PLUGINBEGIN", "PACKAGESETCHANGED", "PLUGINEND", "_DISCONNECT"), true},
		"unknown command":       {frames("PLUGINBEGIN", "NEWCOMMAND x", "_DISCONNECT"), true},
		"too long a head":       {"A\n" + strings.Repeat("x", frame.MaxHead), true},
		"frames after the last": {frames("PLUGINBEGIN", "_DISCONNECT", "COMMITBEGIN "+kernelList), false},
		"a list that is not kept": {frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList(strings.Fields(strings.Repeat("lib-devel ", 15_000)+"kernel-rt")...),
			"PLUGINEND", "_DISCONNECT"), true},
		"no list": {frames("COMMITBEGIN", "_DISCONNECT"), true},
	} {
		t.Run(name, func(t *testing.T) {
			sameEnd(t, tt.input, whole)
			if _, recorded := behindFront(t, whole(tt.input)); recorded != tt.recorded {
				t.Errorf("handed over: %t", recorded)
			}
		})
	}
}

// The front makes no difference wherever input ends, and whatever pieces it comes in.
func TestFrontOfTornSessions(t *testing.T) {
	plain := "PLUGINBEGIN\nuserdata:x\n\n\x00" + frames("COMMITBEGIN "+zyppList("bash"), "COMMITEND "+zyppList("bash"), "PLUGINEND", "_DISCONNECT")
	for end := range len(plain) {
		sameEnd(t, plain[:end], whole)
	}
	kernel := "PLUGINBEGIN\nuserdata:x\n\n\x00" + frames("COMMITBEGIN "+zyppList("bash", "kernel-rt"), "COMMITEND "+zyppList("bash", "kernel-rt"), "PLUGINEND", "_DISCONNECT")
	for end := 0; end < len(kernel); end += 149 {
		sameEnd(t, kernel[:end], func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) })
	}
}

// Without a recorder, every frame is answered, even those that are too long to keep.
func TestFrontWithoutRecorder(t *testing.T) {
	long := zyppList(strings.Fields(strings.Repeat("lib-devel ", 20_000))...)
	for name, input := range map[string]string{
		"kernel":   frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "COMMITEND "+endList, "NEWCOMMAND x", "PLUGINEND", "_DISCONNECT"),
		"too long": frames("PLUGINBEGIN", "COMMITBEGIN "+long, "COMMITEND "+long, "NEWCOMMAND x", "PLUGINEND", "_DISCONNECT"),
		"system":   frames("PLUGINBEGIN", "PACKAGESETCHANGED", "PLUGINEND", "NEWCOMMAND", "PLUGINEND", "_DISCONNECT"),
	} {
		var out bytes.Buffer
		err := front.Serve(strings.NewReader(input), &out, func([]byte, int) bool { return false })
		if got := strings.ReplaceAll(out.String(), "\n\n\x00", " "); err != nil || strings.Count(got, "ACK ") != 5 || strings.Count(got, "_ENOMETHOD ") != 1 {
			t.Errorf("%s: answers %q, %v", name, got, err)
		}
	}
}

func TestDummyAnswersAndForgets(t *testing.T) {
	var out bytes.Buffer
	if err := front.Dummy(strings.NewReader(frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "_DISCONNECT")), &out); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("ACK\n\n\x00", 3); out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

// FuzzFront checks that a recorder after a front answers and records what it would by itself,
// however the input arrives and ends.
func FuzzFront(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.frames")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), 100)
	}
	f.Add(frames("PLUGINBEGIN", "COMMITBEGIN "+zyppList("bash"), "COMMITEND "+zyppList("bash"), "PLUGINEND", "_DISCONNECT"), 1)
	f.Add("PLUGINBEGIN\ncontent-length:0\nuserdata:a\\nb\n\n\x00COMMITBEGIN\ncontent-length:30\n\n"+zyppList("kernel-rt"), 10)
	f.Fuzz(func(t *testing.T, input string, size int) {
		if size < 1 {
			t.Skip()
		}
		sameEnd(t, input, func(s string) io.Reader { return &pieces{s, size} })
	})
}

// pieces is a text that arrives in pieces of a fixed size.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (n int, err error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n = copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}
