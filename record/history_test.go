package record_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// CSV has whatever JSON has; the fields of the actor are next to the others.
func TestHistoryFieldsAreThoseOfJSON(t *testing.T) {
	body, err := json.Marshal(&record.HistoryRow{})
	if err != nil {
		t.Fatal(err)
	}
	var row, actor map[string]json.RawMessage
	if err := json.Unmarshal(body, &row); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(row["actor"], &actor); err != nil {
		t.Fatal(err)
	}
	delete(row, "actor")
	var want, got []string
	for name := range row {
		want = append(want, name)
	}
	for name := range actor {
		want = append(want, name)
	}
	for _, f := range record.HistoryFields() {
		got = append(got, f.Name)
	}
	if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("CSV has %q,\nJSON has %q", got, want)
	}
}

// Each field shows a value that is set, and is empty in an empty row.
func TestHistoryFieldsThatAreNotKnown(t *testing.T) {
	known := []string{"time", "event"}
	for _, f := range record.HistoryFields() {
		if got := f.Text(&record.HistoryRow{}); (got != "") != slices.Contains(known, f.Name) {
			t.Errorf("%s of an empty row: %q", f.Name, got)
		}
	}
}
