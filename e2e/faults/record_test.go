package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// event is the part of an event that these tests need.
type event struct {
	ID      string
	Kind    string
	Spooled string
	Begin   struct {
		UserData string
		Command  []string
		Actor    struct {
			SudoUser string `json:"sudo_user"`
		}
	}
	End struct {
		Commit string
		Late   bool // written by the next writer, which found the commit without an end
	}
	Identity struct{ Cause string }
}

func parse(t *testing.T, text []byte) (ev event) {
	t.Helper()
	if err := json.Unmarshal(text, &ev); err != nil {
		t.Fatalf("event %.200q: %v", text, err)
	}
	return ev
}

// recorded are the events in the record, in order.
func (m *machine) recorded() (evs []event) {
	m.Helper()
	s, err := store.OpenReadOnly(m.Context(), m.root+recordPath)
	m.check(err)
	defer s.Close()
	var out bytes.Buffer
	m.check(s.Export(m.Context(), &out, 0))
	for line := range bytes.Lines(out.Bytes()) {
		if _, body, ok := bytes.Cut(line, []byte(`,"event":`)); ok {
			evs = append(evs, parse(m.T, bytes.TrimSuffix(body, []byte("}\n"))))
		}
	}
	return evs
}

// spooled are the events that wait in a folder's spool.
func (m *machine) spooled(dir string) (evs []event) {
	m.Helper()
	paths, err := filepath.Glob(m.root + dir + "/spool/*.event")
	m.check(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		m.check(err)
		evs = append(evs, parse(m.T, text))
	}
	return evs
}

// settle lets the next writer run, and then checks the commits: the begin and the end of each are
// in the record, or else in the journal, and nowhere twice.
func (m *machine) settle(commits ...string) {
	m.Helper()
	m.mustAudit("report", "history")
	if s := store.LookAtSpool(m.root); s.Waiting+s.SetAside != 0 {
		m.Errorf("left in the spool: %+v", s)
	}
	m.once(append(m.recorded(), m.journal.events(m.T)...), commits...)
	m.intact()
}

// once looks for the begin and the end of each commit. An event in two places has the same id in
// both, and counts once. A large begin may wait in the spool while its end goes into the record. If
// only the journal has an end, the next writer does not know about it, and writes another one,
// which says that it is late.
func (m *machine) once(evs []event, commits ...string) {
	m.Helper()
	begins, ends, seen := map[string][]string{}, map[string]int{}, map[string]bool{}
	for _, ev := range evs {
		if seen[ev.ID] {
			continue
		}
		seen[ev.ID] = true
		switch {
		case ev.Kind == "commit-begin":
			begins[ev.Begin.UserData] = append(begins[ev.Begin.UserData], ev.ID)
		case ev.Kind == "commit-end" && !ev.End.Late:
			ends[ev.End.Commit]++
		}
	}
	for _, name := range commits {
		if ids := begins[name]; len(ids) != 1 || ends[ids[0]] != 1 {
			m.Errorf("commit %s: begins %q, ends %v, want one begin and one end", name, ids, ends)
		}
	}
}

func (m *machine) intact(args ...string) {
	m.Helper()
	if got := m.audit(append([]string{"verify"}, args...)...); got.exit != 0 || !strings.Contains(got.stdout, "INTACT") {
		m.Errorf("verify: exit %d, %s%s", got.exit, got.stdout, got.stderr)
	}
}

// causes are the causes of the recorder events.
func (m *machine) causes() (causes []string) {
	m.Helper()
	for _, ev := range m.recorded() {
		if ev.Kind == "recorder" {
			causes = append(causes, ev.Identity.Cause)
		}
	}
	return causes
}

// journal stands in for journald: it keeps what is sent to its socket (systemd's native protocol,
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL). What does not fit into a datagram comes in a file.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func listen(t *testing.T, dir string) *journal {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// The folder's path is longer than that of a socket may be.
	path := fmt.Sprintf("/proc/self/fd/%d/socket", d.Fd())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/socket", 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	j := &journal{}
	go j.keep(conn)
	return j
}

func (j *journal) keep(conn *net.UnixConn) {
	buf, oob := make([]byte, 1<<20), make([]byte, 64)
	for {
		n, m, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		entry := string(buf[:n]) + passed(oob[:m])
		j.mu.Lock()
		j.entries = append(j.entries, entry)
		j.mu.Unlock()
	}
}

// passed reads the file that came with a message.
func passed(oob []byte) string {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return ""
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return ""
	}
	defer syscall.Close(fds[0])
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", fds[0]))
	return string(text)
}

// events are those that went to the journal because nothing else accepted them.
func (j *journal) events(t *testing.T) (evs []event) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, entry := range j.entries {
		lines := bufio.NewScanner(strings.NewReader(entry))
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			if body, ok := strings.CutPrefix(lines.Text(), "KLP_EVENT="); ok {
				evs = append(evs, parse(t, []byte(body)))
			}
		}
	}
	return evs
}

// begun are the names of the commits that began, in order.
func begun(evs []event) (names []string) {
	for _, ev := range evs {
		if ev.Kind == "commit-begin" {
			names = append(names, ev.Begin.UserData)
		}
	}
	return slices.Compact(names)
}

// forget empties the journal.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

// verification is what verify finds.
func (m *machine) verification(args ...string) (v proof.Verification) {
	m.Helper()
	m.check(json.Unmarshal([]byte(m.audit(append([]string{"verify", "--format", "json"}, args...)...).stdout), &v))
	return v
}
