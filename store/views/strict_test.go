package views

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// FuzzStrict checks that this program, encoding/json and SQLite read every accepted event alike;
// encoding/json also if it matches keys exactly.
func FuzzStrict(f *testing.F) {
	for _, body := range bodies {
		f.Add(body)
		f.Add(strings.Replace(body, `"kind"`, `"KIND"`, 1))
		f.Add(strings.TrimSuffix(body, "}") + `,"x":{"y":[1e3,-0.5,"\u00e9\ud83d\ude00",null,true]}}`)
	}
	db, err := sqlite.OpenMemory()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, body string) {
		ev, err := record.DecodeOutline(1, []byte(body))
		if err != nil {
			return
		}
		var all record.Event
		if err := json.Unmarshal([]byte(body), &all); err != nil {
			t.Fatalf("%q: encoding/json: %v", body, err)
		}
		whole, err := record.DecodeAt(1, []byte(body))
		if err != nil && ev.Kind != record.KindPrune {
			t.Fatalf("%q: the outline can be read, the whole cannot: %v", body, err)
		}
		if err == nil && !reflect.DeepEqual(*whole, all) {
			t.Errorf("%q is read as\n%+v, encoding/json reads\n%+v", body, whole, all)
		}
		var exact map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &exact); err != nil {
			t.Fatal(err)
		}
		var kind, id, moment string
		err = db.QueryRow(`SELECT ?1 ->> '$.kind', ?1 ->> '$.id', ?1 ->> '$.time'`, body).Scan(&kind, &id, &moment)
		if err != nil || kind != string(ev.Kind) || id != ev.ID || moment != ev.Time.Format(record.TimeLayout) {
			t.Errorf("%q: SQLite reads %q, %q, %q, %v", body, kind, id, moment, err)
		}
		if all.Kind != ev.Kind || all.ID != ev.ID || !all.Time.Equal(ev.Time.Time) || string(exact["kind"]) != `"`+kind+`"` {
			t.Errorf("%q: encoding/json reads %q, %q, %s", body, all.Kind, all.ID, all.Time)
		}
	})
}

// A verification reads 10,000 keys and 1,000 levels in linear time: this test ends.
func TestStrictIsLinear(t *testing.T) {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(bodies[0], "}") + `,"more":{`)
	for i := range 300_000 {
		b.WriteString(`"` + strings.Repeat("k", i%7) + string(rune('a'+i%26)) + strings.Repeat("0", 1) + itoa(i) + `":1,`)
	}
	b.WriteString(`"last":1}}`)
	if _, err := record.DecodeAt(1, []byte(b.String())); err != nil {
		t.Error(err)
	}
}

func itoa(i int) string {
	b, _ := json.Marshal(i)
	return string(b)
}
