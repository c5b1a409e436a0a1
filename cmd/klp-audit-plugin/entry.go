package main

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/goenv"
)

// The Makefile has this program begin with entry, in assembler, for Go's runtime reads its
// settings from the environment before it runs anything that is written in Go: with
// GOMAXPROCS=100000 it takes a minute and 2 GiB until main. The kernel starts a program with
// this on the stack: the number of arguments, pointers to them, a zero, pointers to the
// variables, a zero, and the auxiliary vector. entry moves all up to the last zero down by
// two words, which makes room for goenv.Own there, empties each variable of Go's on the way,
// and goes on where the runtime begins.
//
// Before that it looks at the address space that may be used (RLIMIT_AS), and how much of it for
// data (RLIMIT_DATA). The runtime asks for hundreds of MiB, how many differs by chance, and ends
// with a dump where it gets less; with 1.5 GiB, or 104 MiB for data, the recorder did now and then.

// aside is what entry writes where there is less, before it exits with 0.
var aside = "klp-audit: stepping aside, nothing is recorded: recording takes 2 GiB of address space and 160 MiB of data, and less is allowed\n"

// anew says in the environment that cleanUp has been here: it never goes round. The recorder does
// not get it.
const anew = "KLP_AUDIT_ANEW"

// cleanUp does the same where something else has built this program: it starts anew.
func cleanUp() {
	been := os.Getenv(anew) != ""
	os.Unsetenv(anew)
	if env, foreign := goenv.Clean(os.Environ()); foreign && !been {
		unix.Exec("/proc/self/exe", os.Args, append(env, anew+"=1")) // if that fails, it goes on
	}
}
