package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A record and an export that klp-audit 0.1.0 wrote, of a host with three kernels in two years,
// verify and report as they did: bodies are read for ever.
func TestRecordOfAnEarlierRelease(t *testing.T) {
	dir := t.TempDir()
	db, export := unpacked(t, dir, "record.db"), unpacked(t, dir, "record.jsonl")
	says := func(want string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(t.Context(), env{Args: args, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Now: time.Now})
		if code != exitDone || !strings.Contains(out.String(), want) {
			t.Errorf("%q: %d, %s%s", args, code, &errs, &out)
		}
		return out.String()
	}
	const intact = "The record is INTACT: 591 events from 2025-01-07T10:00:00Z to 2026-06-29T09:00:00Z\nRoot hash  8h5CdXUB+8e6jeebs6W29r8BWZkPXSa6WgBLnOAYDgg=\n"
	says(intact, "verify", "--db", db)
	says(intact, "verify", "--input", export)
	for _, input := range [][]string{{"--db", db}, {"--input", export}} {
		for at, kernel := range map[string]string{"2025-05-15": "6.4.0-150600.23.42", "2025-10-01": "6.4.0-150600.23.47", "2026-05-01": "6.4.0-150600.23.53"} {
			if text := says("\nKernel          "+kernel+"-default\n", append([]string{"report", "state", "--at", at}, input...)...); !strings.Contains(text, "PROVEN.\n\nObserved  ") {
				t.Errorf("%s: not proven:\n%s", at, text)
			}
		}
		if rows := strings.Count(says("", append([]string{"report", "history", "--format", "jsonl"}, input...)...), "\n"); rows != 21 {
			t.Errorf("%s: %d changes, want 21", input, rows)
		}
	}
}

// unpacked unpacks a file of the release.
func unpacked(t *testing.T, dir, name string) string {
	t.Helper()
	packed, err := os.ReadFile("testdata/0.1.0/" + name + ".zst")
	if err != nil {
		t.Fatal(err)
	}
	data, err := unpackedBytes(packed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func unpackedBytes(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(packed, nil)
}
