package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	// ErrNoEvent says that a body is none of an event.
	ErrNoEvent = errors.New("not an event")
	// ErrNewerEvent says that a newer program wrote an event.
	ErrNewerEvent = errors.New("event of a newer version")
	errNotOneLine = fmt.Errorf("%w: not one line", ErrNoEvent)
)

// payloadKeys names the one key beside the header that an event of a kind has.
var payloadKeys = map[EventKind]string{
	KindRecorder: "identity", KindCommitBegin: "begin", KindCommitEnd: "end", KindObservation: "observation",
	KindDrift: "drift", KindException: "exception", KindImport: "import", KindPrune: "prune",
}

// Decode reads an event's body. It refuses bodies of a newer version, and what two readers
// could read differently.
func Decode(body []byte) (*Event, error) {
	var ev Event
	if _, err := readHeader(body); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &ev); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	return &ev, nil
}

// DecodeAt is decode for event number seq of a log: it is one line there, and what it says of
// the log before it must be possible.
func DecodeAt(seq int64, body []byte) (*Event, error) {
	if !IsOneLine(body) {
		return nil, errNotOneLine
	}
	ev, err := Decode(body)
	if err == nil && ev.Prune != nil {
		err = ev.Prune.check(seq, ev.Time)
	}
	return ev, err
}

// DecodeOutline is decodeAt for a verification: it refuses the same, and reads the header's
// kind, id and time, and all of an event that speaks of the log itself. What else is in the
// body is for the views, and making values of it would take most of the time.
func DecodeOutline(seq int64, body []byte) (*Event, error) {
	if !IsOneLine(body) {
		return nil, errNotOneLine
	}
	h, err := readHeader(body)
	if err != nil {
		return nil, err
	}
	if h.Kind == KindRecorder || h.Kind == KindPrune {
		return DecodeAt(seq, body)
	}
	return &Event{Header: h}, nil
}

// readHeader reads of an event version, kind, id and time, and looks at all the rest.
func readHeader(body []byte) (h Header, err error) {
	at, err := scan(body, eventShape())
	if err == nil {
		err = h.read(body, at)
	}
	if err == nil {
		err = checkPayload(h.Kind, body, at)
	}
	if err == nil {
		return h, nil
	}
	// A newer version may look otherwise, and that is no fault of it.
	var newer struct{ V int }
	if json.Unmarshal(body, &newer) == nil && newer.V > EventVersion {
		return h, fmt.Errorf("%w: it has version %d, this program knows %d", ErrNewerEvent, newer.V, EventVersion)
	}
	return h, fmt.Errorf("%w: %w", ErrNoEvent, err)
}

// isWord says whether a text in JSON is one of these letters only.
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

// checkPayload sees that an event is about what its kind says, and about nothing else. What a
// kind that is not known is about is not known either.
func checkPayload(kind EventKind, body []byte, at []span) error {
	want := payloadKeys[kind]
	for _, key := range payloadKeys {
		there := at[eventShape().index[key]].of(body)
		switch {
		case key != want && len(there) > 0:
			return fmt.Errorf("an event of kind %s has a key %q", kind, key)
		case key == want && (len(there) == 0 || there[0] == 'n'):
			return fmt.Errorf("an event of kind %s without a key %q", kind, key)
		}
	}
	return nil
}

// IsOneLine says whether an event can be a line of an export. Two searches for a byte are
// ten times faster than one for any of two.
func IsOneLine(body []byte) bool {
	return bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, '\r') < 0
}
