// Command klp-audit-recorder records what a commit does to kernels and live patches, and, as a
// system plugin, what changed without a recorded commit. It is installed as
// /usr/lib/klp-audit/recorder, and klp-audit-plugin becomes it: --handed names an open file with
// the frames that were already read, --answered says how many of them are answered. By itself it is
// a complete plugin. --root DIR makes it work on another file tree.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/plugin"
)

// version is set when the program is built.
var version = "devel"

func main() {
	// The plugin is in zypper's process group: Ctrl-C reaches it, and neither that nor a closed
	// pipe may end it before the commit is recorded.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	runtime.GOMAXPROCS(1) // as it already is if the plugin started this: zypper may need the tasks
	os.Chdir("/")         // do not keep the caller's folder busy
	syscall.Umask(0o022)  // zypper's caller may have set any
	answers, err := privateStdout()
	if err != nil {
		fmt.Fprintf(stderr{}, "klp-audit: %v\n", err)
		os.Exit(1)
	}
	if err := run(answers); err != nil {
		fmt.Fprintf(stderr{}, "klp-audit: %v\n", err)
	}
}

func run(answers *os.File) error {
	flags := flag.NewFlagSet("recorder", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	root := flags.String("root", "/", "")
	handed := flags.Int("handed", -1, "")
	answered := flags.Int("answered", 0, "")
	problem := flags.Parse(os.Args[1:]) // whatever is wrong, recording goes on
	var in io.Reader = os.Stdin
	if *handed >= 0 {
		unix.CloseOnExec(*handed)
		in = io.MultiReader(os.NewFile(uintptr(*handed), "handed"), os.Stdin)
	}
	return errors.Join(problem, plugin.NewSession(*root, version, os.Getenv, stderr{}).Serve(in, answers, *answered))
}

// privateStdout reserves libzypp's pipe for frames: anything else that writes to stdout now writes
// to stderr, which leads nowhere.
func privateStdout() (*os.File, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keeping stdout: %w", err)
	}
	if err := unix.Dup3(2, 1, 0); err != nil {
		return nil, fmt.Errorf("keeping stdout: %w", err)
	}
	return os.NewFile(uintptr(fd), "answers"), nil
}
