package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// Encode returns the body of an event: one line of JSON without a line end.
func Encode(ev *Event) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(ev); err != nil {
		return nil, fmt.Errorf("encoding %s event: %w", ev.Kind, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var (
	// ErrNoEvent says that a body is not an event.
	ErrNoEvent = errors.New("not an event")
	// ErrNewerEvent says that a newer version wrote an event, and this one cannot read it.
	ErrNewerEvent = errors.New("event of a newer version")
	errNotOneLine = fmt.Errorf("%w: not one line", ErrNoEvent)
)

// Decode reads the body of an event. It refuses a body of a newer version, and one that two readers
// could read differently. The event keeps the body, so do not change it afterwards; any string of
// an event keeps the whole body in memory.
func Decode(body []byte) (*Event, error) {
	var ev Event
	if _, err := read(body, reflect.ValueOf(&ev).Elem()); err != nil {
		return nil, err
	}
	return &ev, nil
}

// DecodeAt decodes the body of event number seq of a log. It also refuses a body of several lines,
// and one that says something impossible about the log before it.
func DecodeAt(seq int64, body []byte) (*Event, error) {
	if !IsOneLine(body) {
		return nil, errNotOneLine
	}
	ev, err := Decode(body)
	if err != nil || ev.Prune == nil {
		return ev, err
	}
	if err := ev.Prune.check(seq, ev.Time); err != nil {
		return ev, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	return ev, nil
}

// DecodeOutline decodes what a verification needs. It refuses what DecodeAt refuses, but keeps only
// version, kind, id and time, and the whole event only if it is about the log itself. Decoding the
// rest, which only views need, would take most of the time.
func DecodeOutline(seq int64, body []byte) (*Event, error) {
	if !IsOneLine(body) {
		return nil, errNotOneLine
	}
	h, err := read(body, reflect.Value{})
	if err != nil {
		return nil, err
	}
	if h.Kind == KindRecorder || h.Kind == KindPrune {
		return DecodeAt(seq, body)
	}
	return &Event{Header: h}, nil
}

// read checks the whole body of an event and returns its version, kind, id and time. It decodes the
// body into an empty event; with the zero Value it only checks.
func read(body []byte, into reflect.Value) (h Header, err error) {
	at, err := scan(body, eventShape(), into)
	if err == nil {
		err = h.read(body, at)
	}
	if err == nil {
		err = checkPayload(h.Kind, body, at)
	}
	if err == nil {
		return h, nil
	}
	// A newer version may write events differently: that does not make the event invalid.
	var newer struct{ V int }
	if json.Unmarshal(body, &newer) == nil && newer.V > EventVersion {
		return h, fmt.Errorf("%w: it has version %d, this program knows %d", ErrNewerEvent, newer.V, EventVersion)
	}
	return h, fmt.Errorf("%w: %w", ErrNoEvent, err)
}

// read reads the keys that SQLite reads, too. SQLite compares them as text, so a value that is
// spelled in another way is refused.
func (h *Header) read(body []byte, at []span) error {
	of := func(key string) []byte { return at[eventShape().index[key]].of(body) }
	id, kind, moment := of("id"), of("kind"), of("time")
	switch {
	case !isWord(id, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("id %.80s", orMissing(id))
	case !isWord(kind, "-abcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("kind %.80s", orMissing(kind))
	case len(moment) == 0 || h.Time.parse(moment) != nil || h.Time.Format(`"`+TimeLayout+`"`) != string(moment):
		return fmt.Errorf("time %.80s is not written as %s", orMissing(moment), TimeLayout)
	}
	h.ID, h.Kind = string(id[1:len(id)-1]), EventKind(kind[1:len(kind)-1])
	v, err := strconv.Atoi(string(of("v")))
	if h.V = v; err != nil || v < 1 || v > EventVersion {
		return fmt.Errorf("version %.80s", orMissing(of("v")))
	}
	return nil
}

// isWord says whether a JSON string consists of these letters only.
func isWord(quoted []byte, letters string) bool {
	const longest = 64
	word := bytes.Trim(quoted, `"`)
	return len(word) > 0 && len(word) <= longest && len(quoted) == len(word)+2 && len(bytes.Trim(word, letters)) == 0
}

func orMissing(text []byte) string {
	if len(text) == 0 {
		return "is missing"
	}
	return string(text)
}

// checkPayload checks that an event has the payload of its kind and no other. An event of an
// unknown kind must have no known payload.
func checkPayload(kind EventKind, body []byte, at []span) error {
	want := payloadKeys[kind]
	for _, key := range payloadKeys {
		there := at[eventShape().index[key]].of(body)
		switch {
		case key != want && len(there) > 0:
			return fmt.Errorf("an event of kind %s has a key %q", kind, key)
		case key == want && (len(there) == 0 || there[0] == 'n'):
			return fmt.Errorf("an event of kind %s has no key %q", kind, key)
		}
	}
	return nil
}

// IsOneLine says whether an event can be a line of an export. Two searches for one byte each are
// ten times faster than one search for either.
func IsOneLine(body []byte) bool {
	return bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, '\r') < 0
}
