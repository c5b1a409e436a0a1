package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// EventsSchema names the form of events with their proof in JSON.
const EventsSchema = "klp-audit/events/1"

// Events are events as the log keeps them, out of a record that was found so (nil: nothing is known to be wrong with it).
type Events struct {
	List []*store.Evidence
	From *audit.Input
}

func (x *Events) forms() []form { return []form{{"table", x.writeTable}, {"json", x.writeJSON}} }

// shownEvent is an event in JSON.
type shownEvent struct {
	Event      int64            `json:"event"`
	Body       *string          `json:"body"` // its exact bytes; null: it was pruned
	Inclusion  *proof.Inclusion `json:"inclusion"`
	Checkpoint *string          `json:"checkpoint"`
	Related    []store.Related  `json:"related"`
}

func (x *Events) writeJSON(w io.Writer, _ table.Style) error {
	list := []shownEvent{}
	for _, e := range x.List {
		shown := shownEvent{Event: e.Seq, Inclusion: e.Inclusion, Checkpoint: record.OrNil(e.Checkpoint), Related: append([]store.Related{}, e.Related...)}
		if e.Body != nil {
			shown.Body = new(string(e.Body))
		}
		list = append(list, shown)
	}
	return WriteObject(w, struct {
		Schema  string       `json:"schema"`
		Warning *string      `json:"warning"`
		Events  []shownEvent `json:"events"`
	}{EventsSchema, record.OrNil(x.From.Warning()), list})
}

func (x *Events) writeTable(w io.Writer, style table.Style) error {
	if err := writeWarning(w, x.From.Warning(), style); err != nil {
		return err
	}
	for i, e := range x.List {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := writeEvent(w, e, style); err != nil {
			return err
		}
	}
	return nil
}

// writeEvent prints an event: what every event says, what it says itself, and what proves it.
func writeEvent(w io.Writer, e *store.Evidence, style table.Style) error {
	var out table.Facts
	ev, err := record.Decode(e.Body)
	switch {
	case e.Body == nil:
		out.Add(fmt.Sprintf("Event %d", e.Seq), "its body was pruned: its hash stays")
	case err != nil:
		out.Add(fmt.Sprintf("Event %d", e.Seq), "it cannot be read: %v", err)
	default:
		out = headerFacts(e.Seq, ev)
	}
	for _, r := range e.Related {
		out.Add("Belongs to", "event %d, %s", r.Seq, r.Kind)
	}
	if p := e.Inclusion; p != nil {
		out.Add("Hash", "%s, in the tree over %s with the root hash %s, which the checkpoint signs", p.Leaf, say.Plural(int(p.Size), "event"), p.Root)
	} else {
		out.Add("Hash", "no checkpoint signs it as it is here")
	}
	if err := out.Write(w, style); err != nil || ev == nil {
		return err
	}
	fmt.Fprintln(w)
	return writeSays(w, e.Body, style)
}

// exactLayout is that of a moment to the microsecond.
const exactLayout = "2006-01-02T15:04:05.000000Z07:00"

// headerFacts are what every event says.
func headerFacts(seq int64, ev *record.Event) (out table.Facts) {
	out.Add(fmt.Sprintf("Event %d", seq), "%s", ev.Kind)
	out.Add("Written", "%s, local time %s", ev.Time.Shown(exactLayout), ev.UTCOffset)
	switch at := ev.Recorded(); {
	case ev.Spooled != "" && at != nil:
		out.Add("On record", "since %s: it waited, for %s", at.Shown(exactLayout), ev.Spooled)
	case ev.Spooled != "":
		out.Add("On record", "later: it waited, for %s", ev.Spooled)
	}
	out.Add("Host", "%s, machine id %s", say.OrUnknown(ev.Host.Hostname), say.OrUnknown(ev.Host.MachineID))
	out.Add("Boot", "%s", say.OrUnknown(ev.BootID))
	out.Add("Written by", "%s %s", ev.Recorder.Program, ev.Recorder.Version)
	return out
}

// writeSays prints what an event says itself, key by key in the order of the log.
func writeSays(w io.Writer, body []byte, style table.Style) error {
	t := teller{w: w, width: cmp.Or(max(style.Width, 0), math.MaxInt)} // a pipe gets long lines
	t.fields("", body, func(key string) bool { return slices.Contains(headerKeys, key) })
	return t.err
}

// teller prints JSON for people: a key and its value on a line, what is in an object or a list below it.
type teller struct {
	w     io.Writer
	width int
	err   error
}

func (t *teller) line(indent, text string) {
	for _, part := range table.Wrap(say.Printable(text), max(t.width-len(indent), 20)) {
		if t.err == nil {
			_, t.err = fmt.Fprintln(t.w, indent+part)
		}
		indent = strings.Repeat(" ", len(indent))
	}
}

// fields prints the keys of an object, but those that are to be left out.
func (t *teller) fields(indent string, object json.RawMessage, leaveOut func(key string) bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token() // the brace
	for d.More() && t.err == nil {
		key, err := d.Token()
		var value json.RawMessage
		if t.err = cmp.Or(err, d.Decode(&value)); t.err == nil && !leaveOut(key.(string)) {
			t.value(indent, key.(string)+":", value)
			indent = strings.Repeat(" ", len(indent)) // after the dash of a list
		}
	}
}

func (t *teller) value(indent, name string, value json.RawMessage) {
	within := strings.Repeat(" ", len(indent)+2)
	switch {
	case value[0] == '{' && !isEmpty(value):
		t.line(indent, name)
		t.fields(within, value, func(string) bool { return false })
	case value[0] == '[' && !isEmpty(value):
		t.list(indent, name, value)
	default:
		t.line(indent, name+" "+plainly(value))
	}
}

// list prints a list: on one line, where nothing in it has parts.
func (t *teller) list(indent, name string, value json.RawMessage) {
	var elements []json.RawMessage
	if t.err = json.Unmarshal(value, &elements); t.err != nil {
		return
	}
	if !slices.ContainsFunc(elements, func(e json.RawMessage) bool { return e[0] == '{' || e[0] == '[' }) {
		var texts []string
		for _, e := range elements {
			texts = append(texts, plainly(e))
		}
		t.line(indent, name+" "+strings.Join(texts, ", "))
		return
	}
	t.line(indent, name)
	dash := strings.Repeat(" ", len(indent)+2) + "- "
	for _, e := range elements {
		if e[0] == '{' && !isEmpty(e) {
			t.fields(dash, e, func(string) bool { return false })
		} else {
			t.line(dash, string(e))
		}
	}
}

// isEmpty says whether an object or a list has nothing in it.
func isEmpty(value json.RawMessage) bool { return len(bytes.TrimSpace(value[1:len(value)-1])) == 0 }

// plainly is a value without parts as people write it.
func plainly(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil || text == "" || value[0] == 'n' {
		return string(value)
	}
	return text
}

// headerKeys are those that every event has.
var headerKeys = []string{"v", "kind", "id", "time", "utc_offset", "boottime_us", "host", "boot_id", "recorder", "spooled", "taken_in"}
