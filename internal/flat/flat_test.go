package flat_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/flat"
)

type part struct {
	Name string
	Raw  []byte
}

type all struct {
	Yes     bool
	Number  int64
	Count   uint32
	Text    string
	Maybe   *string
	No      *bool
	When    struct{ time.Time }
	Hash    [3]byte
	Parts   []part
	Names   []string
	ByName  map[string]part
	Inner   *all
	private int // is left out
}

func some() []all {
	no, empty := false, ""
	when := struct{ time.Time }{time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC)}
	parts := []part{{"coverage", []byte(`{"until":1}`)}, {"clock", nil}, {"", []byte{}}}
	return []all{
		{},
		{Yes: true, Number: -1, Count: 7, Text: "kernel", Maybe: &empty, No: &no, When: when, Hash: [3]byte{1, 2, 3}, Parts: parts, Names: []string{}},
		{Text: "kernel", Parts: parts, ByName: map[string]part{"b": parts[0], "a": {}}, Inner: &all{Inner: &all{Names: []string{"x", "kernel"}}}, Number: 1 << 62},
	}
}

// What is read is what was written: nil stays nil, and a pointer to nothing much stays a pointer.
func TestRoundTrip(t *testing.T) {
	c := flat.Of[all]()
	for n := range len(some()) + 1 {
		want := some()[:n]
		got, err := c.Read(c.Append(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(all{})); d != "" {
			t.Errorf("%d values: -written +read\n%s", n, d)
		}
	}
}

// What is not exported is not written.
func TestNotExported(t *testing.T) {
	c := flat.Of[all]()
	got, err := c.Read(c.Append(nil, []all{{Number: 1, private: 2}}))
	if err != nil || got[0].private != 0 || got[0].Number != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// What many values hold is written once.
func TestOnce(t *testing.T) {
	c := flat.Of[all]()
	few, many := some()[1:2], []all{}
	for range 1000 {
		many = append(many, few[0])
	}
	one, thousand := len(c.Append(nil, few)), len(c.Append(nil, many))
	if thousand > 40*1000 || one > 150 {
		t.Errorf("one value takes %d bytes, a thousand equal ones %d", one, thousand)
	}
}

// The form changes with the type, in whatever depth.
func TestForm(t *testing.T) {
	type one struct{ A []struct{ B int } }
	type same struct{ A []struct{ B int } }
	type other struct{ A []struct{ C int } }
	type wider struct{ A []struct{ B int64 } }
	if flat.Of[one]().Form() != flat.Of[same]().Form() {
		t.Error("equal types have different forms")
	}
	if flat.Of[one]().Form() == flat.Of[other]().Form() || flat.Of[one]().Form() == flat.Of[wider]().Form() {
		t.Error("different types have one form")
	}
	if flat.Of[all]().Form() < 0 {
		t.Error("a form is negative")
	}
}

func TestNoForm(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a type with an interface has a form")
		}
	}()
	flat.Of[struct{ A []any }]()
}

// Bytes that were cut or changed are refused, or read as other values: never a panic.
func FuzzRead(f *testing.F) {
	c := flat.Of[all]()
	f.Add(c.Append(nil, some()))
	f.Add(c.Append(nil, nil))
	f.Add([]byte{0, 1, 2, 0, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := c.Read(b)
		if err != nil {
			if !errors.Is(err, flat.ErrForm) || values != nil {
				t.Errorf("%v, %v", values, err)
			}
			return
		}
		again, err := c.Read(c.Append(nil, values))
		if d := cmp.Diff(values, again, cmp.AllowUnexported(all{})); err != nil || d != "" {
			t.Errorf("%v: %s", err, d)
		}
	})
}

// Each cut of what was written is refused.
func TestCut(t *testing.T) {
	c := flat.Of[all]()
	b := c.Append(nil, some())
	for n := range b {
		if _, err := c.Read(b[:n]); !errors.Is(err, flat.ErrForm) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
	}
}
