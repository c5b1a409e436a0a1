package lives

import "testing"

// A seed and a number make one life, whenever it is lived.
func TestALifeIsTheSameLater(t *testing.T) {
	for n := range uint64(50) {
		a, b := live(1, n, birth), live(1, n, birth.Add(later))
		if len(a.events) != len(b.events) || len(same(a.events, b.events)) != len(a.events) || a.now.Sub(birth) != b.now.Sub(birth.Add(later)) {
			t.Errorf("life %d: %d and %d events, %s and %s", n, len(a.events), len(b.events), a.now.Sub(birth), b.now.Sub(birth.Add(later)))
		}
	}
}
