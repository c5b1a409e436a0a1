package ingest_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// honest is a host that does nothing wrong. Its exports are files, which travel to several
// collectors on one database, in any order, and some more than once.
type honest struct {
	*host
	collectors []*collector
	log        *prooftest.Log
	earlier    *prooftest.Log // a snapshot of the machine
	travelling [][]byte
	kept       map[string]string // lines of events with the body that was sent, by the line without it
	uploads    *atomic.Int64
	restores   *atomic.Int64
}

// Honest hosts send what they have, however it comes: nothing is refused for good, and in the end the
// collector has all events, with each body that it was sent in time. The only forks are those of
// virtual machines that were restored from a snapshot.
func TestHonestHosts(t *testing.T) {
	n := int64(trials(t, 150, 1000))
	dsn := hasty(newCollector(t).dsn)
	realEvents(t)
	var uploads, restores, hosts atomic.Int64
	t.Run("all", func(t *testing.T) {
		for w := range runtime.NumCPU() {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				collectors := []*collector{connected(t, dsn), connected(t, dsn), connected(t, dsn)}
				for i := uint64(w); uploads.Load() < n && !t.Failed(); i += uint64(runtime.NumCPU()) {
					h := &honest{host: newHost(t, rand.New(rand.NewPCG(seed(t), i))), collectors: collectors, kept: map[string]string{}, uploads: &uploads, restores: &restores}
					if h.lives(); t.Failed() {
						t.Errorf("host %d, seed %d", i, seed(t))
					}
					hosts.Add(1)
				}
			})
		}
	})
	t.Logf("%d hosts, %d uploads, %d restored", hosts.Load(), uploads.Load(), restores.Load())
	if restores.Load() == 0 {
		t.Error("no machine was restored")
	}
}

// lives is what happens on the host, and what it sends.
func (h *honest) lives() {
	h.log = h.host.log(h.life(1 + h.IntN(10)))
	h.earlier = clone(h.log)
	for range 2 + h.IntN(4) {
		for range 1 + h.IntN(6) {
			for range 1 + h.IntN(8) {
				h.any()(h.log)
			}
			for range h.IntN(3) {
				h.travelling = append(h.travelling, h.exported())
			}
		}
		h.arrive()
		switch h.IntN(4) {
		case 0:
			h.earlier = clone(h.log)
		case 1:
			h.restore()
		}
	}
	h.last()
}

func clone(g *prooftest.Log) *prooftest.Log {
	same := *g
	same.Bodies, same.Hashes = slices.Clone(g.Bodies), slices.Clone(g.Hashes)
	return &same
}

// exported is the log from some event on.
func (h *honest) exported() []byte {
	return h.log.Export(h.Int64N(2) * h.Int64N(h.log.Size()+1))
}

// arrive is when some of the files that travel come to the collectors.
func (h *honest) arrive() {
	h.Shuffle(len(h.travelling), func(i, j int) { h.travelling[i], h.travelling[j] = h.travelling[j], h.travelling[i] })
	now := h.travelling[:h.IntN(len(h.travelling)+1)]
	h.travelling = h.travelling[len(now):]
	if len(now) > 0 {
		now = append(slices.Clone(now), now[h.IntN(len(now))])
	}
	h.travelling = append(h.travelling, h.deliver(now)...)
}

// upload is a file and what a collector says to it.
type upload struct {
	export, packed []byte
	*ingest.Answer
}

// deliver sends files to all collectors at once, again and again until those that wait for others
// wait for what is not there. It returns these.
func (h *honest) deliver(files [][]byte) (waiting [][]byte) {
	for {
		var all []*upload
		for _, f := range files {
			all = append(all, &upload{export: f, packed: h.packed(f)})
		}
		var g errgroup.Group
		for i, c := range h.collectors {
			g.Go(func() (err error) {
				for n := i; n < len(all) && err == nil; n += len(h.collectors) {
					all[n].Answer, err = c.Ingest(h.Context(), bytes.NewReader(all[n].packed))
					h.uploads.Add(1)
				}
				return err
			})
		}
		check(h.T, g.Wait())
		waiting = nil
		for _, u := range all {
			switch u.Outcome {
			case ingest.Stored, ingest.Known, ingest.Behind:
				h.took(u.export)
			case ingest.Waiting:
				waiting = append(waiting, u.export)
			default:
				h.Errorf("an honest upload: %+v", u.Answer)
			}
		}
		if len(waiting) == 0 || len(waiting) == len(files) || h.Failed() {
			return waiting
		}
		files = waiting
	}
}

// took notes the bodies that an upload brought.
func (h *honest) took(export []byte) {
	for _, line := range lines(export) {
		if gap := withoutBody(line); gap != line {
			h.kept[gap] = line
		}
	}
}

// withoutBody is the line of an event without its body.
func withoutBody(line string) string {
	head, _, ok := strings.Cut(line, `,"event":`)
	if !ok {
		return line
	}
	return head + "}\n"
}

// lines are the events' lines of an export, by number.
func lines(export []byte) map[int64]string {
	list := map[int64]string{}
	for line := range strings.Lines(string(export)) {
		if e, ok := proof.ParseEntry([]byte(strings.TrimSuffix(line, "\n"))); ok {
			list[e.Seq] = line
		}
	}
	return list
}

// restore puts the machine back to its snapshot. What it does from then on is another history than
// what the collector has, until somebody accepts it.
func (h *honest) restore() {
	common, c := h.earlier.Size(), h.collectors[0]
	h.travelling = append(h.travelling, h.log.Export(0))
	if still := h.deliver(h.travelling); len(still) > 0 {
		h.Fatalf("sent whole, %d files still wait", len(still))
	}
	if h.log.Size() == common {
		return
	}
	before := h.travelling
	h.log, h.travelling = clone(h.earlier), nil
	h.something()(h.log)
	for range h.IntN(8) {
		h.any()(h.log)
	}
	h.restores.Add(1)
	since := h.Int64N(h.log.Size() + 1)
	if a := h.untilTaken(c, h.log, since); a.Outcome != ingest.Forked {
		h.Errorf("restored: %+v", a)
	}
	whole := &upload{export: h.log.Export(0)}
	whole.Answer = c.sends(whole.export, ingest.Forked)
	if *whole.Common != common {
		h.Errorf("restored at event %d: %+v", common, whole.Answer)
	}
	l, err := c.DB.ByKey(h.Context(), h.first.Verifier)
	check(h.T, err)
	check(h.T, c.DB.Accept(h.Context(), l, whole.Branch, "restored from a snapshot", c.now))
	for _, f := range before {
		h.late(f, common)
	}
	h.took(whole.export)
}

// late sends a file from before the machine was restored.
func (h *honest) late(file []byte, common int64) {
	a, err := h.collectors[1].Ingest(h.Context(), bytes.NewReader(file))
	check(h.T, err)
	h.uploads.Add(1)
	want := []ingest.Outcome{ingest.Behind, ingest.Known}
	if a.New > 0 {
		want = []ingest.Outcome{ingest.Forked}
	}
	h.took(file)
	if !slices.Contains(want, a.Outcome) {
		h.Errorf("from before the machine was restored at event %d: %+v", common, a)
	}
}

// last sends everything that still travels, and all that the host has: the collector gives it back.
func (h *honest) last() {
	whole := h.log.Export(0)
	if still := h.deliver(append(h.travelling, whole)); len(still) > 0 {
		h.Errorf("sent whole, %d files still wait", len(still))
	}
	c := h.collectors[2]
	l, err := c.DB.ByKey(h.Context(), h.first.Verifier)
	check(h.T, err)
	var b bytes.Buffer
	check(h.T, keep.Export(h.Context(), c.DB, l, l.Branch, &b))
	given, has := lines(b.Bytes()), lines(whole)
	for seq := range h.log.Size() {
		seq++
		if want := cmp.Or(h.kept[withoutBody(has[seq])], has[seq]); given[seq] != want {
			h.Errorf("event %d is given back as %.200s\nit was sent as %.200s", seq, given[seq], want)
		}
	}
	if a, b := ends(b.Bytes()), ends(whole); a != b {
		h.Errorf("given back as\n%s\nit was\n%s", a, b)
	}
	v, err := keep.Verify(h.Context(), c.DB, l, l.Branch, "")
	check(h.T, err)
	if v.Result != "intact" || v.Size != h.log.Size() {
		h.Errorf("%d events: %+v", h.log.Size(), v)
	}
}

// ends are the first and the last line.
func ends(export []byte) string {
	list := strings.SplitAfter(strings.TrimSuffix(string(export), "\n"), "\n")
	return list[0] + list[len(list)-1]
}
