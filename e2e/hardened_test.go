package e2e

import (
	"debug/elf"
	"regexp"
	"slices"
	"testing"
)

// unpacked returns the folder that a package was unpacked into.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	execute(t, "sh", "-c", `rpm2cpio "$0" | cpio -idm --quiet -D "$1"`, name, dir)
	return dir
}

// sized are the functions of the C library that check the size of a buffer.
var sized = regexp.MustCompile(`^__[a-z]+_chk$`)

// checkHardened checks programs of a package: no memory is both writable and executable, the
// addresses of called functions are bound at the start and read-only from then on, and the C parts
// check their stack and their buffers. The program that libzypp executes has no C in it, and
// nothing to bind; that of the collector has no C with arrays, which would need a check of the stack.
func checkHardened(t *testing.T, name string, programs ...string) {
	t.Helper()
	dir := unpacked(t, name)
	for _, program := range programs {
		f, err := elf.Open(dir + program)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if !isNeverBoth(f) {
			t.Errorf("%s: memory is written to and executed", program)
		}
		symbols, _ := f.DynamicSymbols()
		has := func(match func(string) bool) bool {
			return slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return match(s.Name) })
		}
		if program == pluginPath {
			if f.Section(".dynamic") != nil || f.Section(".interp") != nil {
				t.Errorf("%s: it is not static", program)
			}
			continue
		}
		if !isBoundAtStart(t, f) {
			t.Errorf("%s: not all is bound at the start, and read-only then", program)
		}
		if program != fleetProgram && !has(func(s string) bool { return s == "__stack_chk_fail" }) {
			t.Errorf("%s: the stack is not checked", program)
		}
		if !has(sized.MatchString) {
			t.Errorf("%s: buffers are not checked", program)
		}
	}
}

// isNeverBoth says whether no memory is both writable and executable, including the stack.
func isNeverBoth(f *elf.File) bool {
	stack := false
	for _, p := range f.Progs {
		if p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X {
			return false
		}
		stack = stack || p.Type == elf.PT_GNU_STACK
	}
	return stack
}

func isBoundAtStart(t *testing.T, f *elf.File) bool {
	t.Helper()
	flags, err := f.DynValue(elf.DT_FLAGS)
	if err != nil {
		t.Fatal(err)
	}
	flags1, err := f.DynValue(elf.DT_FLAGS_1)
	if err != nil {
		t.Fatal(err)
	}
	now := len(flags) > 0 && elf.DynFlag(flags[0])&elf.DF_BIND_NOW != 0 || len(flags1) > 0 && elf.DynFlag1(flags1[0])&elf.DF_1_NOW != 0
	return now && slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_GNU_RELRO })
}
