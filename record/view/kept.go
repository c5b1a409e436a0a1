package view

import (
	"sync"

	"github.com/klp-audit/klp-audit/internal/flat"
)

var outlines = sync.OnceValue(flat.Of[Outline])

// Form identifies the form in which this program writes outlines. Outlines in another form were
// written by another version of it: make them again from the events.
func Form() int64 { return outlines().Form() }

// AppendOutlines writes outlines, without the whole events, in a form that is quick to read.
func AppendOutlines(b []byte, list []*Outline) []byte {
	plain := make([]Outline, len(list))
	for i, o := range list {
		plain[i] = *o
		plain[i].Whole = nil
	}
	return outlines().Append(b, plain)
}

// ReadOutlines reads outlines that were written in the form of this program. They share the bytes:
// do not change these.
func ReadOutlines(b []byte) ([]*Outline, error) {
	plain, err := outlines().Read(b)
	if err != nil {
		return nil, err
	}
	list := make([]*Outline, len(plain))
	for i := range plain {
		list[i] = &plain[i]
	}
	return list, nil
}
