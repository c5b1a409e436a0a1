package record

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Prune is the payload of a prune event. The hashes of all events stay: the tree over them
// is the same as before, and so are the bodies that stay, byte for byte.
type Prune struct {
	Horizon Timestamp `json:"horizon"` // what is older may go
	Through int64     `json:"through"` // number of the last event before the horizon; behind it, none went
	Gone    int64     `json:"gone"`    // how many bodies went now
	// Kept are the events up to that number that stay: the state at the horizon, from which
	// views are derived.
	Kept []int64 `json:"kept"`
}

// check refuses what a prune event with a number and a time cannot say: nothing goes that came
// after it, or was younger than it, and what stays has each its place.
func (p *Prune) check(seq int64, at Timestamp) error {
	switch {
	case p.Through < 0 || p.Through >= seq:
		return fmt.Errorf("%w: it prunes through event %d, and is event %d", ErrNoEvent, p.Through, seq)
	case p.Horizon.After(at.Time):
		return fmt.Errorf("%w: its horizon %s is ahead of it", ErrNoEvent, p.Horizon.Format(TimeLayout))
	case p.Gone < 0 || p.Gone > p.Through:
		return fmt.Errorf("%w: %d of %d events went", ErrNoEvent, p.Gone, p.Through)
	}
	last := int64(0)
	for _, kept := range p.Kept {
		if kept <= last || kept > p.Through {
			return fmt.Errorf("%w: events that stay: %d comes after %d, of %d", ErrNoEvent, kept, last, p.Through)
		}
		last = kept
	}
	return nil
}

// Took says whether the body of an event went.
func (p *Prune) Took(seq int64) bool {
	if p == nil || seq > p.Through {
		return false
	}
	_, kept := slices.BinarySearch(p.Kept, seq)
	return !kept
}

// First is the number of the event from which on none went.
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

// Bodies is how many events of a log of this size have a body.
func (p *Prune) Bodies(size int64) int64 {
	if p == nil {
		return size
	}
	return size - p.Through + int64(len(p.Kept))
}

// Numbers writes numbers as a JSON array.
func Numbers(list []int64) string {
	b, _ := json.Marshal(list)
	return string(b)
}
