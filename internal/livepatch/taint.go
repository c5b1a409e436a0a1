package livepatch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// taintFlags are explained in Documentation/admin-guide/tainted-kernels.rst; bit 31 is
// TAINT_NO_SUPPORT of SUSE's kernels.
var taintFlags = [...]struct{ letter, meaning string }{
	0:  {"P", "proprietary module was loaded"},
	1:  {"F", "module was force loaded"},
	2:  {"S", "kernel runs on an out of specification system"},
	3:  {"R", "module was force unloaded"},
	4:  {"M", "processor reported a machine check exception"},
	5:  {"B", "bad page referenced or some unexpected page flags"},
	6:  {"U", "taint requested by a userspace application"},
	7:  {"D", "kernel died recently: there was an oops or bug"},
	8:  {"A", "ACPI table overridden by the user"},
	9:  {"W", "kernel issued a warning"},
	10: {"C", "staging driver was loaded"},
	11: {"I", "workaround for a bug in platform firmware applied"},
	12: {"O", "externally built (out of tree) module was loaded"},
	13: {"E", "unsigned module was loaded"},
	14: {"L", "soft lockup occurred"},
	15: {"K", "kernel has been live patched"},
	16: {"X", "auxiliary taint, on SUSE kernels: externally supported module was loaded"},
	17: {"T", "kernel was built with the struct randomization plugin"},
	18: {"N", "an in-kernel test has been run"},
	19: {"J", "userspace used a mutating debug operation in fwctl"},
	31: {"", "on SUSE kernels: the system is no longer supported, as after an unsupported module or a disabled live patch"},
}

// ReadTaint reads why the kernel is tainted, and explains it.
func ReadTaint(root string) (record.Taint, error) {
	const name = "/proc/sys/kernel/tainted"
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return record.Taint{}, err
	}
	value, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return record.Taint{}, fmt.Errorf("parsing %q: %.100q is not a number", name, text)
	}
	return explain(value), nil
}

func explain(value uint64) record.Taint {
	t := record.Taint{Value: value, Flags: []record.TaintFlag{}}
	for bit := range 64 {
		if value&(1<<bit) == 0 {
			continue
		}
		f := record.TaintFlag{Bit: bit, Meaning: "not known"}
		if bit < len(taintFlags) && taintFlags[bit].meaning != "" {
			f.Letter, f.Meaning = taintFlags[bit].letter, taintFlags[bit].meaning
		}
		t.Flags = append(t.Flags, f)
	}
	return t
}
