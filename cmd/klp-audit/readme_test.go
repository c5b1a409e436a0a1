package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// readmeTime is when the README's reports were made: three hours after the last event of the record.
var readmeTime = time.Date(2026, 6, 29, 12, 0, 0, 0, time.UTC)

// The README shows the beginnings of reports on the record that 0.1.0 wrote, as they are printed.
// The demonstration before them comes from another run: see e2e/demo_test.go.
func TestReadmeShowsRealReports(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	export := unpacked(t, t.TempDir(), "record.jsonl")
	samples := samples(string(text))
	if len(samples) != 2 {
		t.Fatalf("%d samples in README.md, want 2", len(samples))
	}
	for _, s := range samples {
		var out, errs bytes.Buffer
		args := append(strings.Fields(s.command), "--input", export)
		if code := run(t.Context(), env{Args: args, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Now: func() time.Time { return readmeTime }}); code != exitDone {
			t.Fatalf("%q: %d, %s", args, code, &errs)
		}
		if !strings.HasPrefix(out.String(), s.output) {
			t.Errorf("README.md shows of %s\n%s\nand it prints\n%.3000s", s.command, s.output, &out)
		}
	}
}

// sample is a command of klp-audit in the README, and the begin of what it prints.
type sample struct{ command, output string }

// samples returns those whose output ends with an ellipsis.
func samples(readme string) (list []sample) {
	for _, block := range strings.Split(readme, "\n    # klp-audit ")[1:] {
		command, rest, _ := strings.Cut(block, "\n")
		if output, _, found := strings.Cut(rest, "    …\n"); found {
			output = strings.ReplaceAll(strings.TrimPrefix(output, "    "), "\n    ", "\n")
			list = append(list, sample{command, output})
		}
	}
	return list
}
