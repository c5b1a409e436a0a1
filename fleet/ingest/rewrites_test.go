package ingest_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// rewrites are what root does to a log that the collector has. Whatever it is, root signs the result
// with the keys that the host ever had.
var rewrites = map[string]func(h *host, g *prooftest.Log, steps []step) []step{
	"another event": func(h *host, g *prooftest.Log, steps []step) []step {
		steps[h.IntN(len(steps)-1)+1] = h.something()
		return steps
	},
	"a few letters": func(h *host, g *prooftest.Log, steps []step) []step {
		i := h.IntN(len(steps)-1) + 1
		ev, err := record.Decode(g.Bodies[i])
		if err != nil || ev.Kind == record.KindRecorder || ev.Kind == record.KindPrune {
			return steps // it was pruned, or is about the log itself: another trial
		}
		ev.Host.Hostname = "eve"
		body, err := record.Encode(ev)
		check(h.T, err)
		steps[i] = func(w *prooftest.Log) { w.AddBody(body) }
		return steps
	},
	"order": func(h *host, g *prooftest.Log, steps []step) []step {
		i, j := h.IntN(len(steps)-1)+1, h.IntN(len(steps)-1)+1
		steps[i], steps[j] = steps[j], steps[i]
		return steps
	},
	"all in another order": func(h *host, g *prooftest.Log, steps []step) []step {
		h.Shuffle(len(steps)-1, func(i, j int) { steps[i+1], steps[j+1] = steps[j+1], steps[i+1] })
		return steps
	},
	"cut out": func(h *host, g *prooftest.Log, steps []step) []step {
		i := h.IntN(len(steps)-1) + 1
		return slices.Delete(steps, i, min(i+1+h.IntN(3), len(steps)))
	},
	"put in": func(h *host, g *prooftest.Log, steps []step) []step {
		return slices.Insert(steps, h.IntN(len(steps)-1)+1, h.several(1+h.IntN(3))...)
	},
	"truncated": func(h *host, g *prooftest.Log, steps []step) []step {
		return append(steps[:h.IntN(len(steps)-1)+1], h.several(1+h.IntN(len(steps)))...)
	},
	"hidden behind a prune": func(h *host, g *prooftest.Log, steps []step) []step {
		i := h.IntN(len(steps)-1) + 1
		steps[i] = h.something()
		through := int64(i + 1 + h.IntN(len(steps)-i))
		return append(steps, func(w *prooftest.Log) { w.Prune(min(through, w.Size())) })
	},
	"a prune put in": func(h *host, g *prooftest.Log, steps []step) []step {
		return slices.Insert(steps, h.IntN(len(steps)-1)+1, func(w *prooftest.Log) { w.Prune(w.Size()) })
	},
	"only the newest key is left": func(h *host, g *prooftest.Log, steps []step) []step {
		steps = h.verbatim(steps)
		steps[h.IntN(len(steps)-1)+1] = h.something()
		return steps
	},
}

// lies are rewrites that are wrong in themselves, whatever the collector has.
var lies = map[string]func(h *host, g *prooftest.Log, steps []step) []step{
	"a prune that chooses": func(h *host, g *prooftest.Log, steps []step) []step {
		i := h.IntN(len(steps)-1) + 1
		steps[i] = h.something()
		return append(steps, func(w *prooftest.Log) { w.PruneTo(w.Size(), func(seq int64) bool { return seq == int64(i+1) }) })
	},
	"a prune that removes keys": func(h *host, g *prooftest.Log, steps []step) []step {
		steps[h.IntN(len(steps)-1)+1] = h.something()
		return append(steps, func(w *prooftest.Log) {
			w.Prune(w.Size())
			w.Bodies[0] = nil
		})
	},
}

// verbatim are the same events, with the bytes that they have, so that a hand-over signs what was
// before.
func (h *host) verbatim(steps []step) (same []step) {
	g := h.log(steps[:1])
	same = steps[:1:1]
	for _, add := range steps[1:] {
		before := g.Key
		add(g)
		body, key := g.Bodies[g.Size()-1], g.Key
		if key == before {
			same = append(same, add)
			continue
		}
		same = append(same, func(w *prooftest.Log) {
			w.Key = key
			w.AddBody(body)
		})
	}
	return same
}

// rewrite makes up what a host has sent, and what its root makes of it, which differs in what was
// sent.
func (h *host) rewrite() (what string, sent, rewritten *prooftest.Log) {
	kinds := rewrites
	if h.IntN(20) == 0 {
		kinds = lies
	}
	names := slices.Sorted(maps.Keys(kinds))
	for {
		what = names[h.IntN(len(names))]
		steps := h.life(2 + h.IntN(30))
		sent = h.log(steps)
		steps = kinds[what](h, sent, slices.Clone(steps))
		steps = append(steps, h.several(h.IntN(4))...)
		if h.IntN(4) == 0 {
			next := prooftest.NewKey(h.T)
			steps = append(steps, func(w *prooftest.Log) { w.HandOver(next) })
			steps = append(steps, h.several(h.IntN(3))...)
			what += ", then a change of key"
		}
		rewritten = h.log(steps)
		if same(sent, rewritten) < min(sent.Size(), rewritten.Size()) {
			return what, sent, rewritten
		}
	}
}

// tally counts what became of rewrites.
type tally struct {
	sync.Mutex
	trials, passed int
	outcomes       map[string]int
}

// A host's root rewrites what the collector has, signs it, and sends it whole or from any event on:
// it is refused or a fork, and what the collector has stays as it is. Without the comparison with
// what is kept, nearly all of it would pass.
func TestRewrites(t *testing.T) {
	n := trials(t, 100, 500)
	dsn, dsnUnchecked := hasty(newCollector(t).dsn), hasty(newCollector(t).dsn)
	sum := &tally{outcomes: map[string]int{}}
	realEvents(t)
	t.Run("all", func(t *testing.T) {
		workers := runtime.NumCPU()
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				c, unchecked := connected(t, dsn), connected(t, dsnUnchecked)
				unchecked.Unchecked = true
				for i := w; i < n && !t.Failed(); i += workers {
					h := newHost(t, rand.New(rand.NewPCG(seed(t), uint64(i))))
					what, sent, rewritten := h.rewrite()
					if !h.tryRewrite(c, unchecked, sum, what, sent, rewritten) {
						t.Errorf("trial %d, seed %d: %s", i, seed(t), what)
					}
				}
			})
		}
	})
	t.Logf("%d rewrites, %d passed without the comparison: %v", sum.trials, sum.passed, sum.outcomes)
	if sum.passed < sum.trials*9/10 {
		t.Errorf("only %d of %d rewrites passed without the comparison: %v", sum.passed, sum.trials, sum.outcomes)
	}
}

// tryRewrite sends a rewritten log to both collectors.
func (h *host) tryRewrite(c, unchecked *collector, sum *tally, what string, sent, rewritten *prooftest.Log) bool {
	h.Helper()
	honest := sent.Export(0)
	c.sends(honest, ingest.Stored)
	unchecked.sends(honest, ingest.Stored)
	first := h.Int64N(rewritten.Size() + 1)
	if h.IntN(2) == 0 {
		first = 0
	}
	without := h.untilTaken(unchecked, rewritten, first)
	outcome := h.untilTaken(c, rewritten, first).Outcome
	again := h.untilTaken(c, rewritten, h.Int64N(rewritten.Size()+1)).Outcome
	sum.Lock()
	defer sum.Unlock()
	sum.trials++
	if passed(without.Outcome) {
		sum.passed++
	} else {
		sum.outcomes["unchecked, "+what+": "+string(without.Outcome)]++
	}
	sum.outcomes[string(outcome)]++
	if passed(outcome) || passed(again) {
		h.Errorf("%s, then %s", outcome, again)
		return false
	}
	return c.stillGives(sent, honest)
}

func passed(o ingest.Outcome) bool {
	return o == ingest.Stored || o == ingest.Known || o == ingest.Behind
}

// untilTaken sends the events after a number, and all if the collector waits for others.
func (h *host) untilTaken(c *collector, g *prooftest.Log, since int64) *ingest.Answer {
	h.Helper()
	a, err := c.Ingest(h.Context(), bytes.NewReader(h.packed(g.Export(since))))
	check(h.T, err)
	if a.Outcome != ingest.Waiting {
		return a
	}
	a, err = c.Ingest(h.Context(), bytes.NewReader(h.packed(g.Export(0))))
	check(h.T, err)
	if a.Outcome == ingest.Waiting {
		h.Fatalf("sent whole, it still waits: %+v", a)
	}
	return a
}

// stillGives says whether the log that counts is what the host sent before its root rewrote it, and
// continues.
func (c *collector) stillGives(g *prooftest.Log, honest []byte) bool {
	c.Helper()
	l, err := c.DB.ByKey(c.Context(), g.Key.Verifier)
	check(c, err)
	if l.Branch != 0 {
		c.Errorf("branch %d counts", l.Branch)
	}
	var b bytes.Buffer
	check(c, keep.Export(c.Context(), c.DB, l, 0, &b))
	given, had := lines(b.Bytes()), lines(honest)
	for seq, line := range given { // a body that was never sent may come with what is refused or a fork
		if line != had[seq] && withoutBody(line) != had[seq] {
			c.Errorf("event %d was changed", seq)
		}
	}
	if len(given) != len(had) || ends(b.Bytes()) != ends(honest) {
		c.Errorf("what the collector has was changed")
	}
	v, err := keep.Verify(c.Context(), c.DB, l, 0, "")
	check(c, err)
	if v.Result != "intact" {
		c.Errorf("%+v", v)
	}
	g.AddDrift(1)
	c.sends(g.Export(g.Size()-1), ingest.Stored)
	return !c.Failed()
}
