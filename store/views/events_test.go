package views

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
)

// TestClosedSets compares the lists in the schema with those in Go.
func TestClosedSets(t *testing.T) {
	for column, want := range map[string][]string{
		"outcome": texts(record.Outcomes()), "result": texts(record.Results()), "source": texts(record.Sources()), "kind": texts(record.PackageKinds()), "action": texts(record.Actions()),
		"cause": texts([]record.Cause{record.CauseInstalled, record.CauseUpgraded, record.CauseIdentityChanged, record.CauseKeyReplaced, record.CauseRecordLost, record.CauseProofBroken}),
	} {
		m := regexp.MustCompile(`CHECK \(` + column + ` IN \(([^)]*)\)\)`).FindStringSubmatch(SQL)
		if m == nil {
			t.Errorf("%s has no CHECK", column)
			continue
		}
		if diff := cmp.Diff(want, strings.Split(strings.Trim(m[1], "'"), "', '")); diff != "" {
			t.Errorf("%s: -Go +SQL\n%s", column, diff)
		}
	}
}

func texts[T ~string](values []T) (texts []string) {
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return texts
}

// Bodies as this program writes them, one of each kind.
var bodies = []string{
	`{"v":1,"kind":"recorder","id":"a","time":"2026-03-01T12:00:00.000001Z","identity":{"cause":"installed","schema":1,"key":"k"}}`,
	`{"v":1,"kind":"commit-begin","id":"b","time":"2026-03-01T12:00:00.000001Z","begin":{"libzypp":{"pid":1,"start_ticks":18446744073709551615},` +
		`"actor":{"login":"unset"},"command":["zypper","in"],"announced":[{"kind":"kernel","action":"install","package":"p","version":"1","result":"unknown"}]}}`,
	`{"v":1,"kind":"commit-end","id":"c","time":"2026-03-01T12:00:00.000001Z","end":{"commit":"b","outcome":"completed","late":true,` +
		`"changes":[{"kind":"livepatch","action":"upgrade","result":"ok","patch_number":2,"install_time":"2026-03-01T13:00:00+01:00"}],` +
		`"advisories":[{"id":"x","new_state":"applied"}]}}`,
	`{"v":1,"kind":"of-the-future","id":"d","time":"2026-03-01T12:00:00.000001Z"}`,
	`{"v":1,"kind":"prune","id":"e","time":"2026-03-01T12:00:00.000001Z","prune":{"horizon":"2026-01-01T00:00:00.000000Z","through":0,"gone":0,"kept":[]}}`,
}

func TestApplyIsPure(t *testing.T) {
	for i, body := range bodies {
		ev, again := mustDecode(t, body), mustDecode(t, body)
		first := apply(view.Of(7, ev))
		if (len(first) > 0) != (i < 3) {
			t.Errorf("%s: %d mutations", ev.Kind, len(first))
		}
		for _, second := range [][]mutation{apply(view.Of(7, ev)), apply(view.Of(7, again))} {
			if diff := cmp.Diff(first, second, cmp.AllowUnexported(mutation{}, table{})); diff != "" {
				t.Errorf("%s: %s", ev.Kind, diff)
			}
		}
		if diff := cmp.Diff(again, ev); diff != "" {
			t.Errorf("%s: apply changed the event: %s", ev.Kind, diff)
		}
	}
}

func mustDecode(t *testing.T, body string) *record.Event {
	t.Helper()
	ev, err := record.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestDecodeRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"no JSON":                       {`x`, record.ErrNoEvent},
		"no object":                     {`[]`, record.ErrNoEvent},
		"nothing":                       {`null`, record.ErrNoEvent},
		"two events":                    {bodies[3] + bodies[3], record.ErrNoEvent},
		"no id":                         {`{"v":1,"kind":"x"}`, record.ErrNoEvent},
		"no kind":                       {`{"v":1,"id":"x"}`, record.ErrNoEvent},
		"a time that is none":           {`{"v":1,"kind":"x","id":"y","time":"yesterday"}`, record.ErrNoEvent},
		"a time before the year 0":      {`{"v":1,"kind":"x","id":"y","time":"0000-01-01T00:00:00+01:00"}`, record.ErrNoEvent},
		"a time after the year 9999":    {`{"v":1,"kind":"x","id":"y","time":"9999-12-31T23:59:59-01:00"}`, record.ErrNoEvent},
		"a version that is not for us":  {`{"v":2,"kind":"x","id":"y"}`, record.ErrNewerEvent},
		"written as ours, but newer":    {`{"v":2,"kind":"x","id":"y","time":"2026-01-02T03:04:05Z"}`, record.ErrNewerEvent},
		"a number where text should be": {`{"v":1,"kind":"x","id":7}`, record.ErrNoEvent},
	} {
		for _, read := range []func([]byte) (*record.Event, error){record.Decode, outline} {
			if ev, err := read([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("%s: %+v, %v", name, ev, err)
			}
		}
	}
}

func outline(body []byte) (*record.Event, error) { return record.DecodeOutline(1, body) }

// A verification decodes little of most events, and agrees with a reader that decodes everything.
func TestOutline(t *testing.T) {
	for _, body := range bodies {
		outlineAgrees(t, mustDecode(t, body), []byte(body))
	}
	for name, body := range map[string]string{
		"another order": `{"id":"y","kind":"x","v":1,"time":"2026-01-02T03:04:05.000000Z"}`,
		"with blanks":   `{ "v": 1, "kind": "x", "id": "y", "time": "2026-01-02T03:04:05.000000Z" }`,
	} {
		t.Run(name, func(t *testing.T) { outlineAgrees(t, mustDecode(t, body), []byte(body)) })
	}
}

// outlineAgrees compares the outline of the body of an event with the whole event.
func outlineAgrees(t *testing.T, ev *record.Event, body []byte) {
	t.Helper()
	outline, err := outline(body)
	if err != nil {
		t.Fatalf("outline of %q: %v", body, err)
	}
	want := record.Event{Header: record.Header{V: ev.V, Kind: ev.Kind, ID: ev.ID, Time: ev.Time}}
	got := record.Event{Header: record.Header{V: outline.V, Kind: outline.Kind, ID: outline.ID, Time: outline.Time}}
	if ev.Kind == record.KindRecorder || ev.Kind == record.KindPrune {
		want.Identity, want.Prune, got.Identity, got.Prune = ev.Identity, ev.Prune, outline.Identity, outline.Prune
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outline of %q: %s", body, diff)
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := record.Decode(body)
		if err != nil {
			return
		}
		apply(view.Of(1, ev))
		first, err := record.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(first), "\n\x00") {
			t.Errorf("not one line: %q", first)
		}
		if ev, err = record.Decode(first); err != nil {
			t.Fatalf("its own writing %q: %v", first, err)
		}
		outlineAgrees(t, ev, first)
		if second, err := record.Encode(ev); err != nil || string(second) != string(first) {
			t.Errorf("%q became %q, %v", first, second, err)
		}
	})
}
