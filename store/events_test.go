package store

import (
	"regexp"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// strange are texts that an event may hold, wherever they come from.
var strange = []string{
	"", "\x00", "\xff\xfe", "\u2028\u2029", "\U0001F600", "\ud7ff\ue000", `\ud800`, `"}{`, "a\nb\r\tc", "\u212aelvin ſ", strings.Repeat("x", 100_000),
}

// The recorder can read whatever it wrote, whatever the machine showed it.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, text := range strange {
		ev := &record.Event{Header: NewHeader(record.KindCommitBegin, "/", text)}
		ev.Host.Hostname = text
		ev.Begin = &record.CommitBegin{
			Libzypp: record.Process{PID: -1, StartTicks: 1<<64 - 1}, Command: []string{text, text}, UserData: text,
			Announced: []record.Change{{Package: text, Added: record.Fixes{CVEs: []string{text}}}},
			Fixes:     map[string]record.Fixes{text: {}, "A" + text: {}, "a" + text: {}},
			History:   record.HistoryMark{Path: text, Inode: 1<<64 - 1, Offset: -1 << 63},
		}
		body, err := record.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := record.DecodeAt(1, body); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestHeader makes a header on this machine, and for an empty file tree.
func TestHeader(t *testing.T) {
	h := NewHeader(record.KindRecorder, "/", "1.0")
	if len(h.BootID) != 32 || h.BoottimeUS <= 0 || h.Time.IsZero() || h.Recorder != (record.Program{Program: "klp-audit", Version: "1.0"}) {
		t.Errorf("got %+v", h)
	}
	uuid7 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	later := NewHeader(record.KindRecorder, t.TempDir(), "1.0")
	if !uuid7.MatchString(h.ID) || later.ID == h.ID || later.BoottimeUS < h.BoottimeUS {
		t.Errorf("ids %s, %s", h.ID, later.ID)
	}
	if later.BootID != "" || later.Host.MachineID != "" {
		t.Errorf("from nowhere: %+v", later)
	}
}

// TestNewerEventInTheLog opens a log that a newer program has written to.
func TestNewerEventInTheLog(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), "1.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ev := &record.Event{Header: NewHeader(record.KindCommitBegin, s.root, "1.0")}
	ev.V = record.EventVersion + 1
	if err := s.Append(t.Context(), ev); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
	if n, err := s.size(t.Context()); n != 1 || err != nil {
		t.Errorf("%d events in the log, want the recorder's alone; %v", n, err)
	}
}
