package audit

import (
	"testing"
	"time"

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

// exposuresAt are the fixes as it stood with them at a moment.
func exposuresAt(t *testing.T, s *store.Store, at time.Time) []Exposure {
	t.Helper()
	tl, err := TimelineUntil(t.Context(), s, at)
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), s, tl, at, nil)
	storetest.Check(t, err)
	return list
}
