package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/frame"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/recorder"
)

// message is a frame with its body.
type message struct{ Command, Body string }

func readAll(t testing.TB, input string) (all []message) {
	t.Helper()
	for fr := frame.NewReader(strings.NewReader(input)); ; {
		f, err := fr.Next()
		if err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(f.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, message{f.Command, string(body)})
	}
}

func TestStepsOfLibzypp(t *testing.T) {
	b, err := os.ReadFile("testdata/libzypp-17.25.7-update.frames")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range readAll(t, string(b)) {
		if m.Command != frame.CommitEnd {
			continue
		}
		steps, err := trackedSteps(strings.NewReader(m.Body))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			got = append(got, fmt.Sprintf("%s%s %s-%s.%s", s.Type, s.Stage, s.Name, s.EVR, s.Arch))
		}
	}
	want := []string{
		"Mok kernel-default-6.4.0-150600.23.22.1.x86_64",
		"Mok kernel-livepatch-6_4_0-150600_23_17-default-5-150600.2.1.x86_64",
		"+ok kernel-livepatch-nomv-default-5-150600.2.1.x86_64",
		"+ok kernel-macros-6.4.0-150600.23.22.1.noarch",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSteps(t *testing.T) {
	const kernel = `{"solvable":{"a":"x86_64","e":3,"n":"kernel-default","r":"2","v":"1"},"stage":"err","type":"-"}`
	for name, tt := range map[string]struct {
		body  string
		names []string
		fails bool
	}{
		"empty list":                  {`{"TransactionStepList": []}`, nil, false},
		"nothing tracked":             {`{"TransactionStepList": [{"solvable":{"n":"bash"}}, {"solvable":{"n":"zsh"}}]}`, nil, false},
		"with epoch and stage":        {`{"TransactionStepList": [` + kernel + `]}`, []string{"kernel-default-3:1-2"}, false},
		"other keys and nesting":      {`{"x":{"y":[1,{"z":2}]},"TransactionStepList":[{"later":[{}],"solvable":{"n":"dracut","v":"1","r":"2"}}]}`, []string{"dracut-1-2"}, false},
		"brackets and quotes in text": {`{"TransactionStepList":[{"solvable":{"n":"x\"}]{","v":"\\"}},` + kernel + `]}`, []string{"kernel-default-3:1-2"}, false},
		"escaped name":                {`{"TransactionStepList":[{"solvable":{"n":"\u006bernel-rt","v":"1","r":"2"}}]}`, []string{"kernel-rt-1-2"}, false},
		"nothing at all":              {``, nil, true},
		"not JSON":                    {`Hello`, nil, true},
		"cut off":                     {`{"TransactionStepList": [` + kernel + `, {"solvab`, []string{"kernel-default-3:1-2"}, true},
		"cut off after the list":      {`{"TransactionStepList": [` + kernel + `]`, []string{"kernel-default-3:1-2"}, true},
		"unbalanced":                  {`{"TransactionStepList": [` + kernel + `]}]`, []string{"kernel-default-3:1-2"}, true},
		"a tracked step is damaged":   {`{"TransactionStepList": [{"solvable":{"n":"kernel-rt","e":"x"}},` + kernel + `]}`, []string{"kernel-default-3:1-2"}, true},
		"damaged, names nothing":      {"{\n\"TransactionStepList\": [{]\n}", nil, false},
		"damaged, names something":    {"{\n\"TransactionStepList\": [{kernel]\n}", nil, true},
		"a huge step":                 {`{"TransactionStepList": [{"n":"` + strings.Repeat("x", maxStep) + `"}]}`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			steps, err := trackedSteps(strings.NewReader(tt.body))
			if errors.Is(err, errStepList) != tt.fails {
				t.Errorf("error %v, want one: %t", err, tt.fails)
			}
			var names []string
			for _, s := range steps {
				names = append(names, s.Name+"-"+s.EVR.String())
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A list is not held in memory, however long it is.
func TestStepsAreStreamed(t *testing.T) {
	one := `{"solvable":{"a":"x86_64","n":"lib-devel","r":"1","v":"1"},"type":"+"},`
	measure := func(n int) uint64 {
		var before, after runtime.MemStats
		body := io.MultiReader(strings.NewReader(`{"l":[`), io.LimitReader(&repeat{text: one}, int64(n*len(one))), strings.NewReader(`{}]}`))
		runtime.ReadMemStats(&before)
		if _, err := trackedSteps(body); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := measure(5), measure(50_000)
	if many > 2*few+100_000 {
		t.Errorf("50,000 steps took %d bytes, 5 took %d", many, few)
	}
}

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}

// FuzzSteps compares the scanner with encoding/json: a list that is JSON gives the same
// tracked steps.
func FuzzSteps(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.frames")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		for _, m := range readAll(f, string(b)) {
			f.Add(m.Body)
		}
	}
	f.Add(`{"TransactionStepList":[{"solvable":{"n":"\u006bernel-rt"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		steps, err := trackedSteps(strings.NewReader(body))
		var list struct{ TransactionStepList []listed }
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		if dec.Decode(&list) != nil || dec.More() || strings.Count(body, "TransactionStepList") != 1 || len(body) > maxStep {
			return
		}
		var want []recorder.Step
		for _, l := range list.TransactionStepList {
			if livepatch.KindOf(l.Solvable.Name) != "" {
				want = append(want, l.step())
			}
		}
		if err != nil && len(list.TransactionStepList) > 0 {
			t.Errorf("%q: %v", body, err)
		}
		if diff := cmp.Diff(want, steps); diff != "" && err == nil {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	})
}
