package main

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/goenv"
)

// The Makefile makes this program start at entry, in assembler, because Go's runtime reads its
// settings from the environment before any Go code runs: with GOMAXPROCS=100000 it takes a minute
// and 2 GiB to reach main. The kernel starts a program with this on the stack: the number of
// arguments, pointers to them, a zero, pointers to the variables, a zero, and the auxiliary vector.
// entry moves everything up to the last zero down by two words, which makes room for goenv.Own
// there, empties each of Go's own variables on the way, and jumps to the start of the runtime.
//
// Before that it checks the limits on address space (RLIMIT_AS) and data (RLIMIT_DATA). The runtime
// asks for hundreds of MiB, by chance more or less, and ends with a dump if it gets less; with 1.5
// GiB, or 104 MiB of data, that happened to the recorder now and then.

// aside is what entry writes if the limits are lower, before it exits with 0.
var aside = "klp-audit: stepping aside, nothing is recorded: recording takes 2 GiB of address space and 160 MiB of data, and less is allowed\n"

// anew in the environment says that cleanUp has run, so that it never loops. The recorder does not
// get it.
const anew = "KLP_AUDIT_ANEW"

// cleanUp does the same if this program was built without the Makefile: it starts itself again.
func cleanUp() {
	been := os.Getenv(anew) != ""
	os.Unsetenv(anew)
	if env, foreign := goenv.Clean(os.Environ()); foreign && !been {
		unix.Exec("/proc/self/exe", os.Args, append(env, anew+"=1")) // if that fails, it goes on
	}
}
