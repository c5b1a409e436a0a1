package audit

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What a look at a boot showed of a load stays, where another one does not show it: one that left
// files out, or an older one that waited in the spool.
func TestLoadStaysAsItWasShown(t *testing.T) {
	for name, less := range map[string]func(b *record.Boot){
		"files left out":  func(b *record.Boot) { b.Incomplete = true },
		"messages lost":   func(b *record.Boot) { b.MessagesLost = true },
		"an older look":   func(b *record.Boot) { b.Last.Time = b.Loads[0].Time.Time },
		"without results": func(b *record.Boot) { b.Incomplete = true; b.Loads[0].Result, b.Loads[0].Completed = "unknown", nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			load := l.Loads("5 08:01", "l2", "initrd")
			gone := load
			gone.Disabled = new(l.Stamp("5 12:00"))
			l.Sees("5 15:00", "a", "5 08:00", "?", l.Row("a", "5 08:00", "5 15:00", gone))
			row := l.Row("a", "5 08:00", "5 16:00", load)
			less(&row)
			l.Sees("5 16:00", "a", "5 08:00", "?", row)
			s := l.OpenRecord()
			for at, want := range map[string]string{"5 10:00": "a proven, l2 proven contained", "5 14:00": "a proven, none proven"} {
				if got := told(t, s, at); got != want {
					t.Errorf("%s: got %q, want %q", at, got, want)
				}
			}
		})
	}
}
