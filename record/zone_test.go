package record

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// A moment is told with its offset, so that an hour that comes twice is told apart; JSON stays UTC.
func TestMomentsInAZone(t *testing.T) {
	defer ShowIn(time.UTC)
	at := func(text string) Timestamp {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return At(v)
	}
	for _, tt := range []struct{ zone, moment, short, day string }{
		{"UTC", "2025-10-26T00:30:00Z", "2025-10-26T00:30:00Z", "2025-10-26"},
		{"Europe/Berlin", "2025-10-26T00:30:00Z", "2025-10-26T02:30:00+02:00", "2025-10-26"},
		{"Europe/Berlin", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00+01:00", "2025-10-26"},
		{"Europe/Berlin", "2025-12-31T23:30:00Z", "2026-01-01T00:30:00+01:00", "2026-01-01"},
		{"America/New_York", "2026-01-01T03:00:00Z", "2025-12-31T22:00:00-05:00", "2025-12-31"},
		{"America/New_York", "2026-01-01T00:00:00Z", "2025-12-31T19:00:00-05:00", "2026-01-01"}, // a day, of which no more is known
		{"+05:30", "2026-01-01T00:00:01Z", "2026-01-01T05:30:01+05:30", "2026-01-01"},
	} {
		zone, err := ParseZone(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		ShowIn(zone)
		m := at(tt.moment)
		if m.Short() != tt.short || m.ShortDay() != tt.day {
			t.Errorf("%s in %s is %s, on %s", tt.moment, tt.zone, m.Short(), m.ShortDay())
		}
		if b, err := m.MarshalJSON(); err != nil || !strings.HasPrefix(string(b), `"`+strings.TrimSuffix(tt.moment, "Z")) || m.Exact() != strings.Trim(string(b), `"`) {
			t.Errorf("%s in %s is %s in JSON", tt.moment, tt.zone, b)
		}
	}
}

func TestZonesThatAreNone(t *testing.T) {
	for _, name := range []string{"", "Local", "Mars", "../../etc/passwd", "/etc/localtime", "+25:00", "Europe", "Europe/Berlin\x00"} {
		if zone, err := ParseZone(name); err == nil {
			t.Errorf("%q is the zone %s", name, zone)
		}
	}
}

func FuzzParseZone(f *testing.F) {
	for _, seed := range []string{"", "UTC", "Local", "Europe/Berlin", "+01:00", "-23:59", "../../etc/passwd", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		zone, err := ParseZone(name)
		if (zone == nil) != (err != nil) || zone == time.Local {
			t.Errorf("%q is the zone %v, %v", name, zone, err)
		}
	})
}
