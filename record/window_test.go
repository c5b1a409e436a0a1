package record

import (
	"strings"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	at := func(text string) time.Time {
		moment, err := time.Parse("2006-01-02T15:04Z07:00", text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for _, tt := range []struct {
		window, moment string
		in             bool
	}{
		{"Sat 02:00-06:00 UTC", "2026-11-28T02:00Z", true},
		{"Sat 02:00-06:00 UTC", "2026-11-28T05:59Z", true},
		{"Sat 02:00-06:00 UTC", "2026-11-28T06:00Z", false},
		{"Sat 02:00-06:00 UTC", "2026-11-27T03:00Z", false},
		{"saturday 02:00-06:00 Europe/Berlin", "2026-11-28T01:30Z", true}, // winter
		{"Sat 02:00-06:00 Europe/Berlin", "2026-07-25T00:30Z", true},      // summer
		{"Sat 02:00-06:00 Europe/Berlin", "2026-07-25T04:30Z", false},
		{"Sat 02:00-06:00", "2026-11-28T00:30Z", true}, // local time: two hours ahead
		{"Mon-Fri 22:00-04:00 UTC", "2026-11-27T23:00Z", true},
		{"Mon-Fri 22:00-04:00 UTC", "2026-11-28T03:59Z", true},
		{"Mon-Fri 22:00-04:00 UTC", "2026-11-28T23:00Z", false},
		{"Mon-Fri 22:00-04:00 UTC", "2026-11-30T03:00Z", false},
		{"Fri-Mon,Wed 00:00-24:00 UTC", "2026-11-29T12:00Z", true},
		{"Fri-Mon,Wed 00:00-24:00 UTC", "2026-12-02T12:00Z", true},
		{"Fri-Mon,Wed 00:00-24:00 UTC", "2026-12-01T12:00Z", false},
		{"daily 01:00-03:00 UTC", "2026-12-01T02:00Z", true},
	} {
		if _, zones := time.LoadLocation("Europe/Berlin"); zones != nil && strings.Contains(tt.window, "Berlin") {
			continue // this machine knows no time zones
		}
		w, err := ParseWindow(tt.window, time.FixedZone("EET", 2*3600))
		if err != nil || w.Contains(at(tt.moment)) != tt.in {
			t.Errorf("%s contains %s: %v, %v", tt.window, tt.moment, !tt.in, err)
		}
	}
	for _, bad := range []string{"", "Sat", "Sat 02:00", "Sat 2-6", "Sat 02:00-25:00", "Sab 02:00-06:00", "Sat 02:00-06:00 Mars/Olympus", "Sat 02:00-06:00 Local", "Sat 02:00-06:00 UTC x", "Sat, 02:00-06:00"} {
		if w, err := ParseWindow(bad, time.UTC); err == nil || !strings.Contains(err.Error(), "want days, hours") {
			t.Errorf("%q: %+v, %v", bad, w, err)
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("Mon-Fri 22:00-04:00 UTC")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindow(text, time.UTC)
		if err == nil && (len(w.Days) == 0 || w.From < 0 || w.From > 24*60 || w.To < 0 || w.To > 24*60 || w.Zone == nil) {
			t.Errorf("%q: %+v", text, w)
		}
		if err == nil {
			w.Contains(time.Unix(1e9, 0))
		}
	})
}
