package klpaudit

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxComponent is how many files of a package may all need each other: whoever reads one of them
// has to read all. A file needs another one if it uses a name that is declared there, including
// methods.
const maxComponent = 8

// components are the packages with larger ones. The numbers may only decrease.
var components = map[string]int{}

// buildTags are the tags of a build, so that what it compiled can be reused.
const buildTags = "-tags=sqlite_omit_load_extension"

type sourcePackage struct {
	ImportPath string
	Dir        string
	Export     string // file with the compiler's export data
	GoFiles    []string
	CgoFiles   []string
}

// sources lists the packages of the project, and everything that they import.
func sources(t *testing.T) (pkgs []sourcePackage) {
	t.Helper()
	out, err := exec.Command("go", "list", buildTags, "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,CgoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p sourcePackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestFilesOfAPackageComeInLayers(t *testing.T) {
	pkgs := sources(t)
	exports := map[string]string{}
	for _, p := range pkgs {
		exports[p.ImportPath] = p.Export
	}
	for _, p := range pkgs {
		name, ours := strings.CutPrefix(p.ImportPath, module+"/")
		if !ours || len(p.GoFiles) <= maxComponent || len(p.CgoFiles) > 0 {
			continue
		}
		limit := max(maxComponent, components[name])
		largest := slices.MaxFunc(stronglyConnected(uses(t, p, exports)), func(a, b []string) int { return len(a) - len(b) })
		if slices.Sort(largest); len(largest) > limit {
			t.Errorf("%s: %d files need each other, want %d at most: %s", name, len(largest), limit, strings.Join(largest, " "))
		} else if components[name] > max(len(largest), maxComponent) {
			t.Logf("%s: only %d files need each other now: lower its limit of %d", name, len(largest), limit)
		}
	}
}

// uses says which files of a package each file needs.
func uses(t *testing.T, p sourcePackage, exports map[string]string) map[string][]string {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	pkg, err := config.Check(p.ImportPath, fset, files, &info)
	if err != nil {
		t.Fatal(err)
	}
	needs := map[string]map[string]bool{}
	for _, name := range p.GoFiles {
		needs[name] = map[string]bool{}
	}
	fileOf := func(pos token.Pos) string { return filepath.Base(fset.Position(pos).Filename) }
	for id, used := range info.Uses {
		if from, to := fileOf(id.Pos()), fileOf(used.Pos()); isShared(used, pkg) && from != to {
			needs[from][to] = true
		}
	}
	list := map[string][]string{}
	for file, others := range needs {
		list[file] = slices.Sorted(maps.Keys(others))
	}
	return list
}

// isShared says whether a name can be used by another file of its package: one of the package, or a method.
func isShared(used types.Object, pkg *types.Package) bool {
	if used.Pkg() != pkg {
		return false
	}
	f, isFunc := used.(*types.Func)
	return used.Parent() == pkg.Scope() || isFunc && f.Signature().Recv() != nil
}

// stronglyConnected returns the sets of nodes that can all reach each other (Tarjan).
func stronglyConnected(graph map[string][]string) (sets [][]string) {
	index, low, onStack := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var visit func(string)
	visit = func(node string) {
		index[node] = len(index) + 1
		low[node] = index[node]
		stack, onStack[node] = append(stack, node), true
		for _, next := range graph[node] {
			if index[next] == 0 {
				visit(next)
				low[node] = min(low[node], low[next])
			} else if onStack[next] {
				low[node] = min(low[node], index[next])
			}
		}
		if low[node] == index[node] {
			first := slices.Index(stack, node)
			set := slices.Clone(stack[first:])
			for _, n := range set {
				onStack[n] = false
			}
			stack, sets = stack[:first], append(sets, set)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(graph)) {
		if index[node] == 0 {
			visit(node)
		}
	}
	return sets
}

func TestStronglyConnected(t *testing.T) {
	got := stronglyConnected(map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {}, "f": {"a"}})
	if len(got) != 4 || !slices.ContainsFunc(got, func(set []string) bool { return strings.Join(slices.Sorted(slices.Values(set)), "") == "abc" }) {
		t.Errorf("%q", got)
	}
}
