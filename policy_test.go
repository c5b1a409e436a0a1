// Package klpaudit holds the tests that enforce the project's rules.
package klpaudit

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/klp-audit/klp-audit"

// arrows says which packages of the project a package may import, and which outside imports it
// alone may have. The direction is cmd -> plugin, report -> store -> record, and internal.
var arrows = map[string][]string{
	"audit":                        {"record", "record/proof", "internal/livepatch", "internal/rpmversion", "internal/say"},
	"audit/compliance":             {"audit", "record", "record/proof", "internal/say"},
	"cmd/klp-audit":                {"audit", "audit/compliance", "docs/vectors", "record", "record/proof", "record/view", "report", "report/bundle", "report/guide", "report/table", "store", "internal/config", "internal/filekind", "internal/livepatch", "internal/observe", "internal/pager", "internal/progress", "internal/recorder", "internal/rpm", "internal/rpmversion", "internal/say", "internal/scratch", "internal/selftest", "internal/stop", "internal/tracked", "internal/zyppimport"},
	"cmd/klp-audit-plugin":         {"plugin/front", "internal/goenv", "internal/room"},
	"cmd/klp-audit-recorder":       {"plugin"},
	"cmd/klp-audit-fleet":          {"fleet/ingest", "fleet/inventory", "fleet/keep", "fleet/pg", "record", "record/proof", "report/table", "internal/say", "internal/stop"},
	"docs/vectors":                 {},
	"fleet/ingest":                 {"fleet/pg", "fleet/segment", "record", "record/proof", "record/view", "internal/unpack"},
	"fleet/inventory":              {},
	"fleet/keep":                   {"fleet/pg", "fleet/segment", "record", "record/proof", "record/view"},
	"fleet/pg":                     {"fleet/segment", "record/proof"},
	"fleet/segment":                {"record", "record/proof", "record/view"},
	"plugin":                       {"internal/frame", "internal/recorder", "internal/rpm", "internal/rpmversion", "internal/snapshot", "internal/tracked"},
	"plugin/front":                 {"internal/frame", "internal/tracked"},
	"record":                       {},
	"record/proof":                 {"record"},
	"record/schema":                {},
	"record/proof/prooftest":       {"record", "record/proof"},
	"record/view":                  {"record", "record/proof", "internal/flat"},
	"report":                       {"audit", "audit/compliance", "record", "record/proof", "report/page", "report/picture", "report/table", "store", "internal/config", "internal/say", "internal/selftest"},
	"report/bundle":                {"record/proof", "report", "internal/say"},
	"report/page":                  {"report/picture", "report/table"},
	"report/guide":                 {"audit/compliance", "report/table"},
	"report/picture":               {"audit", "record", "internal/say"},
	"report/table":                 {"internal/say"},
	"store":                        {"record", "record/proof", "record/view", "store/sqlite", "store/views", "internal/progress", "internal/rooted", "internal/scratch"},
	"store/sqlite":                 {"record", "internal/rooted"},
	"store/storetest":              {"record", "record/view", "store", "internal/livepatch"},
	"store/views":                  {"record", "record/view", "store/sqlite", "internal/progress"},
	"bench":                        {},
	"internal/bootloader":          {"internal/ini", "internal/rooted", "internal/snapshot"},
	"internal/config":              {"internal/rooted"},
	"internal/filekind":            {"record/proof", "store", "internal/zypp"},
	"internal/flat":                {},
	"internal/frame":               {},
	"internal/goenv":               {},
	"internal/helptest":            {}, // tests only
	"internal/ini":                 {},
	"internal/initrd":              {},
	"internal/journal":             {"record", "internal/rooted"},
	"internal/journal/journaltest": {},
	"internal/livepatch":           {"record", "internal/rooted"},
	"internal/lives":               {}, // tests only
	"internal/observe":             {"record", "record/proof", "store", "internal/bootloader", "internal/ini", "internal/initrd", "internal/journal", "internal/livepatch", "internal/progress", "internal/releases", "internal/rooted", "internal/rpm", "internal/rpmversion", "internal/snapshot", "internal/verdict", "internal/zypp", "internal/zyppimport"},
	"internal/pager":               {},
	"internal/pgtest":              {}, // tests only
	"internal/progress":            {},
	"internal/recorder":            {"record", "store", "internal/config", "internal/goenv", "internal/room", "internal/rooted", "internal/rpm", "internal/rpmversion", "internal/snapshot", "internal/zypp"},
	"internal/releases":            {"record", "internal/livepatch", "internal/rooted", "internal/rpm", "internal/rpmversion", "internal/unpack", "internal/updateinfo", "internal/zypp"},
	"internal/room":                {},
	"internal/rooted":              {},
	"internal/rooted/rootedtest":   {},
	"internal/rpm":                 {"record", "internal/room", "internal/rooted", "internal/rpmversion"},
	"internal/rpm/rpmtest":         {},
	"internal/say":                 {},
	"internal/scratch":             {},
	"internal/schematest":          {"record/schema"},
	"internal/scripttest":          {}, // tests only
	"internal/selftest":            {"record", "internal/bootloader", "internal/ini", "internal/journal", "internal/livepatch", "internal/observe", "internal/rooted", "internal/rpmversion", "internal/say", "internal/tracked", "internal/unpack", "internal/updateinfo", "internal/zypp", "internal/zyppimport"},
	"internal/rpmversion":          {"record"},
	"internal/snapshot":            {"record", "store", "internal/livepatch", "internal/rooted", "internal/rpm", "internal/rpmversion", "internal/tracked"},
	"internal/stop":                {},
	"internal/tracked":             {},
	"internal/unpack":              {},
	"internal/updateinfo":          {"internal/rooted"},
	"internal/verdict":             {"record", "internal/initrd", "internal/journal", "internal/livepatch", "internal/rpm", "internal/rpmversion"},
	"internal/zypp":                {"record", "internal/ini", "internal/rooted"},
	"internal/zyppimport":          {"record", "store", "internal/filekind", "internal/livepatch", "internal/progress", "internal/rooted", "internal/rpm", "internal/rpmversion", "internal/snapshot", "internal/unpack", "internal/zypp"},
}

// owners are imports, with what is below them, that only these packages may have. The recorder starts
// klp-audit itself.
var owners = map[string][]string{
	"database/sql":                               {"store", "store/sqlite", "store/views"},
	"github.com/mattn/go-sqlite3":                {"store/sqlite"},
	"github.com/coreos/go-systemd/v22/sdjournal": {"internal/journal"},
	"os/exec":                           {"internal/journal/journaltest", "internal/pager", "internal/pgtest", "internal/recorder", "internal/rpm", "internal/rpm/rpmtest", "internal/scripttest"},
	"github.com/jackc/pgx/v5":           {"fleet/pg", "internal/pgtest"},
	"github.com/olekukonko/tablewriter": {"report/table"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) (pkgs []goPackage) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestArrowsRunOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if name == "" || name == "e2e" || strings.HasPrefix(name, "e2e/") {
			continue
		}
		allowed, ok := arrows[name]
		if !ok {
			t.Errorf("package %s has no place in the layout", name)
		}
		for _, imp := range p.Imports {
			if inner, ours := strings.CutPrefix(imp, module+"/"); ours && !slices.Contains(allowed, inner) {
				t.Errorf("%s imports %s", name, inner)
			}
			for path, owner := range owners {
				if strings.HasPrefix(imp+"/", path+"/") && !slices.Contains(owner, name) {
					t.Errorf("%s imports %s, which belongs to %s", name, imp, strings.Join(owner, " and "))
				}
			}
		}
	}
}

// A record is read and proven without a machine: from bytes, wherever they come from.
func TestRecordKnowsNoMachine(t *testing.T) {
	for _, p := range list(t, "./record/...") {
		for _, imp := range p.Imports {
			if slices.Contains([]string{"C", "database/sql", "io/fs", "net", "os", "os/exec", "path/filepath", "syscall"}, imp) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// What follows from a record can also be derived from events in memory: without a database, and
// without C.
func TestReportsNeedNoDatabase(t *testing.T) {
	for _, p := range list(t, "./record/...", "./audit/...") {
		for _, dep := range p.Deps {
			if slices.Contains([]string{"C", "database/sql", "runtime/cgo", module + "/store"}, dep) {
				t.Errorf("%s links %s", p.ImportPath, dep)
			}
		}
	}
}

// The plugin starts in every commit: it links what it needs to answer, and no C. The start time of
// each package here has been measured.
func TestPluginLinksLittle(t *testing.T) {
	few := []string{"bufio", "bytes", "cmp", "context", "encoding/binary", "errors", "io", "io/fs", "iter", "math", "math/bits", "os", "os/signal", "path",
		"reflect", "runtime", "slices", "sort", "strconv", "strings", "sync", "sync/atomic", "syscall", "time", "unicode", "unicode/utf8", "unsafe",
		"golang.org/x/sys/unix", module + "/internal/frame", module + "/internal/goenv", module + "/internal/room", module + "/internal/tracked", module + "/plugin/front"}
	for _, dep := range list(t, "./cmd/klp-audit-plugin")[0].Deps {
		inside := strings.HasPrefix(dep, "internal/") || strings.HasPrefix(dep, "runtime/")
		if !inside && !slices.Contains(few, dep) {
			t.Errorf("the plugin links %s", dep)
		}
	}
}

// The recorder starts in every commit of a kernel.
func TestRecorderLinksLittle(t *testing.T) {
	for _, dep := range list(t, "./cmd/klp-audit-recorder")[0].Deps {
		for _, heavy := range []string{"github.com/spf13/", "github.com/olekukonko/", "github.com/BurntSushi/", "html/template", "text/template", "encoding/xml", "net/http", "github.com/klauspost/", "github.com/ulikunitz/"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("the recorder links %s", dep)
			}
		}
	}
}

// fset knows the places in the files of the project.
var fset = token.NewFileSet()

// goFiles calls f for every file of the project that is not a test.
func goFiles(t *testing.T, f func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if path == "vendor" || path == "build" { // in a source package
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err == nil {
			f(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	goFiles(t, func(path string, file *ast.File) {
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil
		for _, d := range file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no comment", path, name)
			}
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", dir)
		}
	}
}

// undocumented lists the exported names of a declaration without a comment. The constants of a
// group may share the group's comment.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	return names
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported()
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	const fileLines, functionLines = 400, 60
	goFiles(t, func(path string, file *ast.File) {
		lines := fset.File(file.Pos()).LineCount()
		if lines > fileLines {
			t.Errorf("%s has %d lines, want %d at most", path, lines, fileLines)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := path + ":" + f.Name.Name
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > functionLines {
				t.Errorf("%s has %d lines, want %d at most", name, n, functionLines)
			}
		}
	})
}

// Only code at the edges reads the clock or the environment, or ends the program.
func TestNoHiddenInputs(t *testing.T) {
	goFiles(t, func(path string, file *ast.File) {
		if strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "e2e/") || strings.HasPrefix(path, "internal/pgtest/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := s.X.(*ast.Ident); ok && id.Name == "os" && slices.Contains([]string{"Getenv", "Exit", "Stdout", "Stderr"}, s.Sel.Name) {
					t.Errorf("%s uses os.%s", path, s.Sel.Name)
				}
			}
			return true
		})
	})
}

// The package names the SQLite version that is compiled in, for whoever checks for its
// vulnerabilities.
func TestSpecNamesTheBundledSQLite(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/mattn/go-sqlite3").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	named := func(file, pattern string) string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		version := regexp.MustCompile(pattern).FindSubmatch(text)
		if version == nil {
			t.Fatalf("no %q in %q", pattern, file)
		}
		return string(version[1])
	}
	got := named("packaging/klp-audit.spec", `bundled\(sqlite3\) = (\S+)`)
	want := named(strings.TrimSpace(string(dir))+"/sqlite3-binding.h", `#define SQLITE_VERSION +"([^"]+)"`)
	if got != want {
		t.Errorf("packaging/klp-audit.spec: SQLite %s, want %s", got, want)
	}
}

// The package is built with exactly one Go, that of go.mod: if several packages provide it, the
// build service cannot choose.
func TestGoOfThePackage(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	for name, want := range map[string]string{
		"packaging/klp-audit.spec": "\nBuildRequires:  go" + string(m[1]) + "\n",
		"packaging/deps.sh":        " go" + string(m[1]) + "\n",
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: want %q", name, want)
		}
	}
}
