package audit

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// spanned is a pointer to what has a span.
type spanned[T any] interface {
	*T
	span() *Span
}

func (s *Span) span() *Span { return s }

// clipped are the spans within a stretch of time.
func clipped[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list := []T{}
	for _, v := range spans {
		s := P(&v).span()
		if s.From, s.To = later(s.From, record.At(from)), earlier(s.To, record.At(to)); s.From.Before(s.To.Time) {
			list = append(list, v)
		}
	}
	return list
}

// filled are the spans within a stretch of time, with unknown ones where there are none.
func filled[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list, at := []T{}, record.At(from)
	unknown := func(until record.Timestamp) {
		if at.Before(until.Time) {
			var v T
			*P(&v).span() = Span{From: at, To: until, Confidence: Unknown, Events: []int64{}}
			list = append(list, v)
		}
	}
	for _, v := range clipped[T, P](spans, from, to) {
		s := P(&v).span()
		unknown(s.From)
		list, at = append(list, v), s.To
	}
	unknown(record.At(to))
	return list
}

func earlier(a, b record.Timestamp) record.Timestamp {
	if b.Before(a.Time) {
		return b
	}
	return a
}

func later(a, b record.Timestamp) record.Timestamp {
	if b.After(a.Time) {
		return b
	}
	return a
}

// ends keeps the first and the last of the numbers.
func ends(list []int64, more ...int64) []int64 {
	all := append(slices.Clone(list), more...)
	if len(all) == 0 {
		return []int64{}
	}
	low, high := slices.Min(all), slices.Max(all)
	if low == high {
		return []int64{low}
	}
	return []int64{low, high}
}
