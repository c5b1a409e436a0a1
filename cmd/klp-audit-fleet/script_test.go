package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/internal/scripttest"
	"github.com/klp-audit/klp-audit/record/proof"
)

var update = flag.Bool("update", false, "write the expected output in the scripts, and packaged files, anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"klp-audit-fleet": main})
}

// Each script has an empty database of its own, which libpq's variables name.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup:         setup,
		Condition:     condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    scripttest.Exits,
			"intact":   intact,
			"sql":      execSQL,
			"host":     newHost,
			"grow":     growHost,
			"rewrite":  rewrite,
			"rollback": rollBack,
			"newkey":   changeKey,
			"losekey":  loseKey,
			"prune":    pruneHost,
			"export":   writeExport,
		},
	})
}

func setup(e *testscript.Env) error {
	t := e.T().(testing.TB)
	conf, err := pgx.ParseConfig(pgtest.DSN(t))
	if err != nil {
		return err
	}
	e.Setenv("PGHOST", conf.Host)
	e.Setenv("PGPORT", strconv.Itoa(int(conf.Port)))
	e.Setenv("PGUSER", conf.User)
	e.Setenv("PGPASSWORD", conf.Password)
	e.Setenv("PGDATABASE", conf.Database)
	e.Setenv("PGOPTIONS", conf.RuntimeParams["options"])
	e.Setenv("TZ", "UTC")
	vectors, err := filepath.Abs("../../docs/vectors")
	e.Setenv("VECTORS", vectors)
	e.Setenv("RECORD", filepath.Join(vectors, "../../cmd/klp-audit/testdata/0.1.0/record.jsonl.zst"))
	e.Setenv("PYTHON", python())
	e.Values[machinesKey] = &machines{TB: t, list: map[string]*machine{}}
	return err
}

// python is the one that has the package cryptography; empty: none has.
func python() string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import cryptography").Run() == nil {
			return name
		}
	}
	return ""
}

func condition(name string) (bool, error) {
	switch name {
	case "python":
		return python() != "", nil
	case "tty":
		return scripttest.Terminals()
	}
	return false, fmt.Errorf("condition %q", name)
}

// intact demands of an export what klp-audit verify --input demands: intact FILE EVENTS.
func intact(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: intact FILE EVENTS")
	}
	v, err := proof.VerifyExport(context.Background(), strings.NewReader(ts.ReadFile(args[0])), "")
	ts.Check(err)
	if v.Result != proof.Intact || v.TreeSize != number(ts, args[1]) {
		ts.Fatalf("%+v", v)
	}
}

// execSQL changes the database behind the program's back: sql STATEMENT...
func execSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sql STATEMENT...")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host='%s' port=%s user='%s' password='%s' dbname='%s' options='%s'",
		ts.Getenv("PGHOST"), ts.Getenv("PGPORT"), ts.Getenv("PGUSER"), ts.Getenv("PGPASSWORD"), ts.Getenv("PGDATABASE"), ts.Getenv("PGOPTIONS")))
	ts.Check(err)
	defer conn.Close(ctx)
	for _, statement := range args {
		_, err := conn.Exec(ctx, statement)
		ts.Check(err)
	}
}

// number is an argument that is one.
func number(ts *testscript.TestScript, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	ts.Check(err)
	return n
}

// writeExport writes the export of a host: export NAME FILE [SINCE].
func writeExport(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts, neg, args, "export NAME FILE [SINCE]", 2, 3)
	since := int64(0)
	if len(args) == 3 {
		since = number(ts, args[2])
	}
	path := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, m.Export(since), 0o644))
}
