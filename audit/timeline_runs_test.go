package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// crossed are runs of boots that all claim the same day, each with the events after the last one's.
func crossed(n int) (list []run) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		r := run{KernelSpan: KernelSpan{BootID: fmt.Sprintf("%032x", i)}, last: true}
		at := from.Add(time.Duration(i) * time.Second)
		r.span(record.At(at), record.At(at.Add(24*time.Hour)), int64(n-i))
		r.firstEvent, r.lastEvent = int64(n-i), int64(n-i)
		list = append(list, r)
	}
	return list
}

// Where every boot contradicts every other one nothing is known, and that is found out soon.
func TestBootsThatAllContradictEachOther(t *testing.T) {
	before := run{KernelSpan: KernelSpan{BootID: "before"}, last: true, firstEvent: 1, lastEvent: 1}
	before.span(record.At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), record.At(time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)), 1)
	list := crossed(6000)
	for i := range list {
		list[i].firstEvent, list[i].lastEvent = list[i].firstEvent+1, list[i].lastEvent+1
	}
	if got := possible(append([]run{before}, list...)); len(got) != 1 || got[0].BootID != "before" {
		t.Errorf("%d boots are known", len(got))
	}
}

// One boot with a wrong clock leaves the others as they are, however many it contradicts.
func TestOneBootThatContradictsMany(t *testing.T) {
	var list []run
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	wrong := run{KernelSpan: KernelSpan{BootID: "wrong"}, last: true, firstEvent: 50000, lastEvent: 50000}
	wrong.span(record.At(from), record.At(from.AddDate(10, 0, 0)), 50000)
	list = append(list, wrong)
	for i := range 20000 {
		r := run{KernelSpan: KernelSpan{BootID: fmt.Sprintf("%032x", i)}, last: true, firstEvent: int64(i + 1), lastEvent: int64(i + 1)}
		at := from.Add(time.Duration(i+1) * time.Hour)
		r.span(record.At(at), record.At(at.Add(30*time.Minute)), int64(i+1))
		list = append(list, r)
	}
	got := possible(list)
	if len(got) != 20000 || got[0].BootID == "wrong" || got[0].Confidence != Inferred {
		t.Errorf("%d boots are known, the first %s, %s", len(got), got[0].BootID, got[0].Confidence)
	}
}
