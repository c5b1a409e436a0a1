package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// sender is a host that sends its log piece by piece.
type sender struct {
	log    *prooftest.Log
	pieces [][]byte
	sent   int           // pieces that were acknowledged
	err    error         // that ended it
	took   time.Duration // until that error
}

// newSender makes a host up, with a log that changes its key if it is to.
func newSender(t *testing.T, keys bool) *sender {
	s := &sender{log: prooftest.New(t)}
	for since := int64(0); len(s.pieces) < 40; since = s.log.Size() {
		if keys && len(s.pieces)%4 == 3 {
			s.log.AddKey() // one transaction in two logs, which may be on two workers
		}
		s.log.AddDrift(2)
		s.pieces = append(s.pieces, s.log.Export(since))
	}
	return s
}

// send sends what is not acknowledged yet, until an error.
func (s *sender) send(ctx context.Context, c *ingest.Collector, acknowledged func()) {
	again := s.err != nil
	s.err = nil
	for s.err == nil && s.sent < len(s.pieces) {
		began := time.Now()
		var a *ingest.Answer
		switch a, s.err = c.Ingest(ctx, bytes.NewReader(s.pieces[s.sent])); {
		case s.err != nil:
			s.took = time.Since(began)
			return
		case a.Outcome != ingest.Stored && !(again && a.Outcome == ingest.Known):
			s.err = fmt.Errorf("piece %d: %+v", s.sent, a)
			return
		}
		again = false
		s.sent++
		acknowledged()
	}
}

// sendAll lets all send at the same time, and returns how many were stopped by an error.
func sendAll(ctx context.Context, c *ingest.Collector, senders []*sender, acknowledged func()) (stopped int) {
	var all sync.WaitGroup
	for _, s := range senders {
		all.Go(func() { s.send(ctx, c, acknowledged) })
	}
	all.Wait()
	for _, s := range senders {
		if s.err != nil {
			stopped++
		}
	}
	return stopped
}

// worker kills or starts a worker of Citus by the command in a variable of the environment.
func worker(t *testing.T, variable string) {
	if out, err := exec.Command("sh", "-c", os.Getenv(variable)).CombinedOutput(); err != nil {
		t.Errorf("$%s: %v\n%s", variable, err, out)
	}
}

// A worker of Citus is killed while twenty hosts send. What it keeps cannot grow until it is back:
// those uploads end with an error. The others go on. Nothing that was acknowledged is lost, doubled
// or torn.
func TestWorkerKilled(t *testing.T) {
	if os.Getenv("KLP_AUDIT_FLEET_KILL") == "" || os.Getenv("KLP_AUDIT_FLEET_START") == "" {
		t.Skip("KLP_AUDIT_FLEET_KILL and KLP_AUDIT_FLEET_START hold no commands that kill and start a worker of Citus")
	}
	c := newCollector(t)
	c.Collector.Now = time.Now
	var senders []*sender
	for i := range 20 {
		senders = append(senders, newSender(t, i%4 == 0))
	}
	var acknowledged atomic.Int64
	stopped := sendAll(t.Context(), c.Collector, senders, func() {
		if acknowledged.Add(1) == 200 {
			worker(t, "KLP_AUDIT_FLEET_KILL")
		}
	})
	if stopped == 0 || stopped == len(senders) {
		t.Errorf("the worker's end stopped %d of %d hosts", stopped, len(senders))
	}
	for i, s := range senders {
		if s.err != nil {
			t.Logf("host %d, piece %d, after %s: %v", i, s.sent, s.took, s.err)
		}
	}
	worker(t, "KLP_AUDIT_FLEET_START")
	if n := sendAll(t.Context(), c.Collector, senders, func() {}); n > 0 {
		t.Errorf("%d hosts were stopped after the worker had come back", n)
	}
	for i, s := range senders {
		if s.err != nil {
			t.Fatalf("host %d, piece %d, after %s: %v", i, s.sent, s.took, s.err)
		}
		c.gives(c.log(s.log), 0, s.log.Export(0))
	}
}
