package zyppimport

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/zypp"
)

func sum(line string) string {
	b := sha256.Sum256([]byte(line))
	return hex.EncodeToString(b[:])
}

// In Berlin, 02:00 to 03:00 came twice on 2024-10-27 and not at all on 2024-03-31.
func TestMoments(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for name, tt := range map[string][][2]string{
		"winter":                      {{"2024-01-01 12:00:00", "11:00:00"}},
		"summer":                      {{"2024-07-01 12:00:00", "10:00:00"}},
		"not decidable":               {{"2024-10-27 02:30:00", "00:30:00?"}},
		"nothing decides, in order":   {{"2024-10-27 01:59:59", "23:59:59"}, {"2024-10-27 02:10:00", "00:10:00?"}, {"2024-10-27 02:50:00", "00:50:00?"}},
		"going back, it comes again":  {{"2024-10-27 02:50:00", "00:50:00?"}, {"2024-10-27 02:10:00", "01:10:00"}, {"2024-10-27 02:50:00", "01:50:00"}, {"2024-10-27 03:00:00", "02:00:00"}},
		"the clock was set back":      {{"2024-10-27 04:00:00", "03:00:00"}, {"2024-10-27 02:10:00", "00:10:00?"}},
		"left out in spring":          {{"2024-03-31 02:30:00", "00:30:00?"}},
		"an ordinary clock goes back": {{"2024-01-01 12:00:00", "11:00:00"}, {"2024-01-01 10:00:00", "09:00:00"}},
		"the hours around":            {{"2024-10-27 01:59:59", "23:59:59"}, {"2024-10-27 03:00:00", "02:00:00"}, {"2024-03-31 03:00:00", "01:00:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := clock{zone: berlin}
			for _, step := range tt {
				wall, err := zypp.LocalTime(step[0])
				if err != nil {
					t.Fatal(err)
				}
				at, guess := c.moment(wall)
				got := at.UTC().Format("15:04:05")
				if guess {
					got += "?"
				}
				if got != step[1] {
					t.Errorf("%s is %s, want %s", step[0], got, step[1])
				}
			}
		})
	}
}

func TestZone(t *testing.T) {
	root := t.TempDir()
	for name, want := range map[string]string{"": "UTC", "UTC": "UTC", "+05:30": "+05:30", "Europe/Berlin": "Europe/Berlin"} {
		zone, err := Zone(root, name)
		if err != nil || zone.String() != want {
			t.Errorf("%q: %v, %v", name, zone, err)
		}
	}
	for _, bad := range []string{"Nowhere/Town", "Local", "../../etc/passwd", "+99:00"} {
		if zone, err := Zone(root, bad); err == nil {
			t.Errorf("%q: %v", bad, zone)
		}
	}
	data, err := os.ReadFile("/usr/share/zoneinfo/Asia/Tokyo")
	if err != nil {
		t.Skip(err)
	}
	put(t, filepath.Join(root, "usr/share/zoneinfo/Asia/Tokyo"), string(data))
	put(t, filepath.Join(root, "etc/hostname"), "x")
	if err := os.Symlink("/usr/share/zoneinfo/Asia/Tokyo", filepath.Join(root, "etc/localtime")); err != nil {
		t.Fatal(err)
	}
	zone, err := Zone(root, "")
	if err != nil {
		t.Fatal(err)
	}
	got := time.Date(2024, 1, 1, 0, 0, 0, 0, zone).UTC().Format(time.DateTime) + " " + zone.String()
	if diff := cmp.Diff("2023-12-31 15:00:00 Asia/Tokyo", got); diff != "" {
		t.Error(diff)
	}
}
