package journal

import (
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// source provides fields: of the journal's current entry, or of one in memory.
type source interface {
	GetDataValue(name string) (string, error)
	GetCursor() (string, error)
	GetRealtimeUsec() (uint64, error)
	GetMonotonicUsec() (uint64, error)
}

// Line is a journal entry in memory, as a simulated host writes it.
type Line struct {
	Cursor   string
	Received time.Time
	Since    time.Duration // since the boot
	Fields   map[string]string
}

// ReadLines reads a boot from its entries, in the order in which they were stored.
func ReadLines(id string, lines []Line) (Boot, error) {
	b := newBoot(id)
	s := scan{boot: &b}
	for i := range lines {
		if i == 0 {
			b.First = record.At(lines[i].Received)
		}
		b.Last = record.At(lines[i].Received)
		if err := s.take(fields{inMemory{&lines[i]}}); err != nil {
			return b, err
		}
	}
	s.finish()
	return b, nil
}

type inMemory struct{ *Line }

func (l inMemory) GetDataValue(name string) (string, error) {
	v, ok := l.Fields[name]
	if !ok {
		return "", fmt.Errorf("no field %q", name)
	}
	return v, nil
}

func (l inMemory) GetCursor() (string, error)        { return l.Cursor, nil }
func (l inMemory) GetRealtimeUsec() (uint64, error)  { return uint64(l.Received.UnixMicro()), nil }
func (l inMemory) GetMonotonicUsec() (uint64, error) { return uint64(l.Since.Microseconds()), nil }
