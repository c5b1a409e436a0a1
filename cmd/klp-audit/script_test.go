package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/internal/pager"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/internal/scripttest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

var update = flag.Bool("update", false, "write the expected output in the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"klp-audit": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Values[tbKey] = e.T()
			dir, err := filepath.Abs(packaging)
			e.Setenv("PACKAGING", dir)
			data, err2 := filepath.Abs("testdata")
			e.Setenv("TESTDATA", data)
			return errors.Join(err, err2)
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "borrowed":
				return pager.Borrowed(func(string) string { return "" }), nil
			case "bash-completion":
				_, err := os.Stat("/usr/share/bash-completion/bash_completion")
				return err == nil, nil
			case "tty":
				return scripttest.Terminals()
			}
			return false, fmt.Errorf("condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   scripttest.Exits,
			"json":    validJSON,
			"record":  recordEvents,
			"alter":   alter,
			"events":  appendEvents,
			"earlier": earlierRecord,
			"journal": unpackJournal,
			"pack":    pack,
			"schema":  followsSchema,
		},
	})
}

// validJSON checks that a file holds JSON values and nothing else: json FILE COUNT.
func validJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json FILE COUNT")
	}
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	n := 0
	for ; d.More(); n++ {
		var v any
		ts.Check(d.Decode(&v))
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("%d values, want %s", n, args[1])
	}
}

// tbKey is the key of a script's testing.TB.
const tbKey = "testing.TB"

// followsSchema checks that the events in an export follow their published schemas: schema FILE.
func followsSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: schema FILE")
	}
	schematest.Events(ts.Value(tbKey).(testing.TB), schematest.Bodies([]byte(ts.ReadFile(args[0])))...)
}

// unpackJournal unpacks the journal of a real boot into DIR/journal: journal SCENARIO DIR.
func unpackJournal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: journal SCENARIO DIR")
	}
	ts.Check(journaltest.Extract(args[0], ts.MkAbs(args[1])))
}

// commit describes a commit that record writes. Without an outcome it stays open.
type commit struct {
	Time     record.Timestamp
	Actor    record.Actor
	Command  []string
	UserData string
	Outcome  record.Outcome
	Changes  []record.Change
	Repeat   int // write the first change so often
}

// record writes commits into the record of a machine as its plugin would: record ROOT FILE.
// The file has a commit in JSON after the other.
func recordEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: record ROOT FILE")
	}
	ctx := context.Background()
	root := ts.MkAbs(args[0])
	s, err := store.Open(ctx, root, "1.0.0")
	ts.Check(err)
	defer s.Close()
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(args[1]))))
	d.DisallowUnknownFields()
	for d.More() {
		var c commit
		ts.Check(d.Decode(&c))
		ts.Check(s.Append(ctx, c.events(root)...))
	}
}

func (c *commit) events(root string) []*record.Event {
	for len(c.Changes) < c.Repeat {
		next := c.Changes[0]
		next.Version = fmt.Sprintf("%d-1", len(c.Changes)+1)
		c.Changes = append(c.Changes, next)
	}
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, root, "1.0.0")}
	begin.Time, begin.Host.Hostname = c.Time, "db01"
	begin.Begin = &record.CommitBegin{Actor: c.Actor, Command: c.Command, UserData: c.UserData}
	if c.Outcome == "" {
		begin.Begin.Announced = c.Changes
		return []*record.Event{begin}
	}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, root, "1.0.0")}
	end.Time, end.Host.Hostname = c.Time, "db01"
	end.End = &record.CommitEnd{Commit: begin.ID, Outcome: c.Outcome, Changes: c.Changes}
	return []*record.Event{begin, end}
}

// alter changes a database behind the program's back: alter FILE SQL...
func alter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: alter FILE SQL...")
	}
	path := ts.MkAbs(args[0])
	_, err := os.Stat(path)
	ts.Check(err)
	db, err := sql.Open("sqlite3", path)
	ts.Check(err)
	defer db.Close()
	for _, statement := range args[1:] {
		_, err := db.Exec(statement)
		ts.Check(err)
	}
}
