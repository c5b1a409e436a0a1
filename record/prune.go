package record

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Prune is the payload of a prune event. The hashes of all events stay, so the hash tree does not
// change. The remaining bodies stay the same, byte for byte.
type Prune struct {
	Horizon Timestamp `json:"horizon"` // older events may be removed
	Through int64     `json:"through"` // number of the last event before the horizon; no later one was removed
	Gone    int64     `json:"gone"`    // how many bodies this prune removed
	// Kept are the events up to that number that stay, in order: views derive the state at the
	// horizon from them.
	Kept []int64 `json:"kept"`
}

// check refuses what a prune event of this number and time cannot say: it removes only earlier and
// older events, and the events that stay are in order.
func (p *Prune) check(seq int64, at Timestamp) error {
	switch {
	case p.Through < 0 || p.Through >= seq:
		return fmt.Errorf("it prunes through event %d, but is event %d", p.Through, seq)
	case p.Horizon.After(at.Time):
		return fmt.Errorf("its horizon %s is later than the event", p.Horizon.Exact())
	case p.Gone < 0 || p.Gone > p.Through:
		return fmt.Errorf("%d of %d events went", p.Gone, p.Through)
	}
	last := int64(0)
	for _, kept := range p.Kept {
		if kept <= last || kept > p.Through {
			return fmt.Errorf("events that stay: %d comes after %d, of %d", kept, last, p.Through)
		}
		last = kept
	}
	return nil
}

// Took says whether this prune removed the body of an event.
func (p *Prune) Took(seq int64) bool {
	if p == nil || seq > p.Through {
		return false
	}
	_, kept := slices.BinarySearch(p.Kept, seq)
	return !kept
}

// First returns the number of the event from which on no body is missing.
func (p *Prune) First() int64 {
	if p == nil {
		return 1
	}
	seq := p.Through + 1
	for i := len(p.Kept) - 1; i >= 0 && p.Kept[i] == seq-1; i-- {
		seq--
	}
	return seq
}

// Bodies returns how many events of a log of this size have a body.
func (p *Prune) Bodies(size int64) int64 {
	if p == nil {
		return size
	}
	return size - p.Through + int64(len(p.Kept))
}

// Numbers returns a list of numbers as JSON.
func Numbers(list []int64) string {
	b, _ := json.Marshal(list)
	return string(b)
}
