// Command klp-audit-plugin is what libzypp executes in each commit, installed as
// /usr/lib/zypp/plugins/commit/klp-audit, and whenever packages have changed, installed as
// /usr/lib/zypp/plugins/system/klp-audit. It answers what needs no record; if there may be
// something to record, it becomes the recorder by executing that program in the same process.
// libzypp gives it no arguments. With --recorder PATH as the first argument, it executes another
// recorder, which gets the remaining arguments.
package main

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/goenv"
	"github.com/klp-audit/klp-audit/internal/room"
	"github.com/klp-audit/klp-audit/plugin/front"
)

// recorderPath is the program that records.
const recorderPath = "/usr/lib/klp-audit/recorder"

// disturbing are the signals that end or stop a program that does not handle them, except for those
// caused by its own faults. They are ignored, not handled: an ignored signal is gone, but a pending
// one would hit the recorder before that can handle anything.
func disturbing() []os.Signal {
	list := []os.Signal{
		syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE,
		syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGIO, syscall.SIGPWR, syscall.SIGSTKFLT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	}
	for realTime := syscall.Signal(34); realTime <= 64; realTime++ {
		list = append(list, realTime)
	}
	return list
}

func main() {
	// The plugin is in zypper's process group: Ctrl-C reaches it, and neither that nor a closed
	// pipe may end it before the commit is recorded. The recorder does the same.
	signal.Ignore(disturbing()...)
	cleanUp()
	if stepsAside(room.Plugin) {
		return
	}
	os.Chdir("/") // do not keep the caller's folder busy
	if err := serve(); err != nil {
		complain(err)
	}
}

func serve() error {
	if os.Getenv("DISABLE_KLP_AUDIT_PLUGIN") != "" {
		return front.Dummy(os.Stdin, os.Stdout)
	}
	path, args := recorderPath, os.Args[1:]
	if len(args) >= 2 && args[0] == "--recorder" {
		path, args = args[1], args[2:]
	}
	return front.Serve(os.Stdin, os.Stdout, func(read []byte, answered int) bool {
		if stepsAside(room.Recorder) {
			return true
		}
		complain(become(path, args, read, answered))
		return false
	})
}

// stepsAside says whether there is so little room that zypper may need all of it. libzypp goes on
// without a plugin that exits; the changes will then show as drift.
func stepsAside(need room.Room) bool {
	err := room.For(need)
	if err != nil {
		complain(errors.New("stepping aside, nothing is recorded: " + err.Error()))
	}
	return err != nil
}

// become executes the recorder in place of this program. It returns only if that fails.
func become(path string, args []string, read []byte, answered int) error {
	fd, err := hidden(read)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	args = append([]string{path, "--handed", strconv.Itoa(fd), "--answered", strconv.Itoa(answered)}, args...)
	// A signal to zypper's process group would end a Go program that is just starting.
	unix.Setpgid(0, 0)
	env, _ := goenv.Clean(os.Environ())
	return &os.PathError{Op: "executing", Path: path, Err: unix.Exec(path, args, env)}
}

// hidden puts data into a file without a name that a program executed later can read.
func hidden(data []byte) (fd int, err error) {
	fd, err = nameless()
	for written := 0; written < len(data) && err == nil; {
		var n int
		n, err = unix.Pwrite(fd, data[written:], int64(written))
		written += n
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("keeping what was read", err)
	}
	return fd, nil
}

// nameless makes a file without a name: in memory, or else where the running system keeps files. A
// kernel may demand the flag that the file cannot be executed (vm.memfd_noexec), and an older
// kernel may not know that flag.
func nameless() (fd int, err error) {
	const name = "klp-audit"
	if fd, err = unix.MemfdCreate(name, unix.MFD_NOEXEC_SEAL); err == nil {
		return fd, nil
	}
	if fd, err = unix.MemfdCreate(name, 0); err == nil {
		return fd, nil
	}
	return unix.Open("/run", unix.O_TMPFILE|unix.O_RDWR, 0o600)
}

// complain writes to libzypp's message pipe, which does not block. It bypasses Go's runtime, which
// would wait for a full pipe: the message is lost then, not the commit.
func complain(err error) { unix.Write(2, []byte("klp-audit: "+err.Error()+"\n")) }
