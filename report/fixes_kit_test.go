package report

import (
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// exposuresIn are the fixes of a timeline.
func exposuresIn(t *testing.T, s *store.Store, tl *Timeline) []Exposure {
	t.Helper()
	list, err := NewExposures(t.Context(), s, tl, store.Always(), nil)
	check(t, err)
	return list
}
