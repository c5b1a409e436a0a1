package lives

import (
	"testing"

	"github.com/klp-audit/klp-audit/store/storetest"
)

// A seed and a number make one life, whenever it is lived.
func TestALifeIsTheSameLater(t *testing.T) {
	for n := range uint64(storetest.Few(15, 50)) {
		a, b := live(1, n, birth), live(1, n, birth.Add(later))
		if len(a.events) != len(b.events) || len(same(a.events, b.events)) != len(a.events) || a.now.Sub(birth) != b.now.Sub(birth.Add(later)) {
			t.Errorf("life %d: %d and %d events, %s and %s", n, len(a.events), len(b.events), a.now.Sub(birth), b.now.Sub(birth.Add(later)))
		}
	}
}
