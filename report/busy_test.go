package report

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// While reports run, a commit is recorded at once: an append that waited too long for a reader
// would fail, and its event go to the spool.
func TestReportsKeepNoCommitWaiting(t *testing.T) {
	m := storetest.RandomMachine(t, rand.New(rand.NewPCG(2, 5)))
	s := m.OpenRecord()
	m.Observe(record.TriggerManual)
	again := m.Written[len(m.Written)-1]
	var stop atomic.Bool
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for n := 0; err == nil && !stop.Load(); n++ {
			err = reportAll(t.Context(), s, m)
			if n == 0 {
				close(ready)
			}
		}
		done <- err
	}()
	<-ready
	w, err := store.Open(t.Context(), m.Root, "1.0.0")
	storetest.Check(t, err)
	defer w.Close()
	for i := range 40 {
		again.ID = fmt.Sprint(i)
		storetest.Check(t, w.Append(t.Context(), again))
	}
	stop.Store(true)
	storetest.Check(t, <-done)
	if n := store.Waiting(m.Root); n != 0 {
		t.Errorf("%d events are in the spool", n)
	}
}

func reportAll(ctx context.Context, s *store.Store, m *storetest.Machine) error {
	sum, err := s.Summarize(ctx)
	if err != nil {
		return err
	}
	p, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	if err != nil {
		return err
	}
	h := NewHistory(record.HistoryFilter{}, "html", NewProvenance("report", "1.0.0", m.Now, sum))
	h.Rows = s.History(ctx, h.Filter)
	f, err := NewFull(ctx, s, p, m.Now, h)
	if err != nil {
		return err
	}
	return Write(io.Discard, f, "html", table.Style{})
}
