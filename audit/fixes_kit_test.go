package audit

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// exposuresIn are the fixes of a timeline.
func exposuresIn(t *testing.T, s *store.Store, tl *Timeline) []Exposure {
	t.Helper()
	list, err := NewExposures(t.Context(), s, tl, record.Always(), nil)
	storetest.Check(t, err)
	return list
}
