package main

import (
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

// facts are what show prints: who the host is, what is wrong, and then the rest.
func (h *host) facts() (f table.Facts) {
	f.Add("Host", "%s, machine id %s", say.OrUnknown(h.Hostname), say.OrUnknown(h.MachineID))
	f.Add("State", "%s since %s%s", h.State, short(h.StateSince), and(h.Reason))
	f.Add("Integrity", "%s", h.integrityText())
	f.Add("Last heard", "%s", moment(h.Heard))
	f.Add("Events", "%s", h.eventsText())
	for _, b := range h.Branches {
		if len(h.Branches) > 1 {
			f.Add(fmt.Sprintf("Branch %d", b.Branch), "%s", b.text(b.Branch == h.Branch))
		}
	}
	for _, x := range h.Findings {
		f.Add("Finding", "%s", findingText(x))
	}
	for _, r := range h.Refused {
		f.Add("Refused", "%s, %s: %s", short(r.Received), events(r.Since+1, r.Size), say.Some(r.Problems))
	}
	for _, o := range h.Others {
		f.Add("Same machine id", "%s, %s, last heard %s: a clone, or the machine was installed again", o.Name, o.State, moment(o.Heard))
	}
	if v := h.Verified; v != nil {
		f.Add("Verified", "%s on %s, %s%s", v.Result, short(v.Verified), say.Plural(int(v.Size), "event"), and(say.Some(v.Problems)))
	}
	if h.Withheld != nil {
		f.Add("Withheld", "the bodies of %s, since %s; --format json has the signed statement", say.Plural(int(h.Withheld.Bodies), "event"), short(h.Withheld.Stated))
	}
	f.Add("Log", "%s", h.Log)
	f.Add("Key", "%s", h.Key)
	for i, k := range h.Keys {
		if len(h.Keys) > 1 {
			f.Add(fmt.Sprintf("Key %d", i+1), "from event %d on: %s", k.Event, k.Key)
		}
	}
	return f
}

// integrityText says what the word means for this host, and what to do.
func (h *host) integrityText() string {
	switch h.Integrity {
	case forked:
		return "forked: the host has two histories. Find out whether it was restored from a snapshot or somebody rewrote its record; then accept-fork says which branch counts"
	case newKey:
		return "new-key: a key took over that the key before it did not sign. Find out why the key was lost; then accept-fork says which branch counts"
	case behind:
		return fmt.Sprintf("behind: the newest upload lacks the last %s: the host may have gone back to a snapshot", say.Plural(int(h.Behind), "event"))
	case unverified:
		return "unverified: each upload was verified when it came; `klp-audit-fleet verify` has not looked at what is kept"
	case string(proof.Intact):
		return "intact"
	}
	return h.Integrity + ": what is kept is not what the host signed: restore the database from a backup, and compare"
}

func (h *host) eventsText() string {
	switch {
	case h.Events == 0:
		return "none yet"
	case h.FirstEvent == nil:
		return fmt.Sprint(h.Events)
	}
	return fmt.Sprintf("%d, from %s to %s", h.Events, moment(h.FirstEvent), moment(h.LastEvent))
}

// moment is a time that may not be known.
func moment(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return short(*t)
}

// text says what a branch is.
func (b *branch) text(counts bool) string {
	what := "the first history"
	switch b.Cause {
	case pg.Forked:
		what = "another history"
	case pg.LostKey:
		what = "with a key that the key before it did not sign"
	}
	if counts {
		what = "counts: " + what
	}
	text := fmt.Sprintf("%s, %s, received %s, root hash %s", what, say.Plural(int(b.Events), "event"), short(b.Received), b.Root)
	if b.Base != nil {
		text += fmt.Sprintf("; it leaves branch %d after event %d", *b.Base, *b.Common)
	}
	if !b.Whole {
		text += ", some events after that were never sent"
	}
	if b.Accepted != nil {
		text += fmt.Sprintf("; accepted %s%s", short(*b.Accepted), and(b.Reason))
	}
	return text
}

// events names some of a log's.
func events(first, last int64) string {
	if last <= first {
		return fmt.Sprintf("event %d", first)
	}
	return fmt.Sprintf("events %d to %d", first, last)
}

// findingText says what a finding means.
func findingText(x pg.Finding) string {
	what := x.Kind
	switch x.Kind {
	case ingest.NeverSent:
		what = "the host removed what they say before it sent them"
	case string(record.CauseProofBroken):
		what = "before it, the recorder found that the log was not the one it had signed"
	case string(record.CauseRecordLost):
		what = "an earlier record was gone, but its key was still there"
	case string(record.CauseKeyReplaced):
		what = "a key took over that the key before it did not sign: nothing vouches for what is before it"
	}
	return events(x.First, x.Last) + ": " + what
}
