// Command klp-audit-plugin is what libzypp executes in each commit, installed as
// /usr/lib/zypp/plugins/commit/klp-audit, and, as /usr/lib/zypp/plugins/system/klp-audit,
// whenever packages have changed. It answers what needs no record; where there may be
// something to record, it becomes the recorder: the same process goes on as that program.
// libzypp gives it no arguments. With --recorder PATH, the first one, it executes another
// recorder; what follows is for that.
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

// disturbing are the signals that end or stop a program which does not handle them, but for those
// of its own faults. They are ignored, not handled: what is ignored is gone, while what waits to be
// handled when this program becomes the recorder would meet it before that can handle anything.
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
	// The plugin is in zypper's process group: Ctrl-C reaches it, and a closed pipe must
	// not end it before the commit is recorded. The recorder does the same.
	signal.Ignore(disturbing()...)
	cleanUp()
	if stepsAside(room.Plugin) {
		return
	}
	os.Chdir("/") // the caller's folder is not kept busy
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

// stepsAside says whether there is so little room that zypper may need it all. libzypp goes
// on without a plugin that ends; what then changes will show as drift.
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
	// What is sent to zypper's process group would end a program of Go that is starting.
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

// nameless makes a file without a name: in memory, where a kernel may demand that it cannot
// be executed (vm.memfd_noexec), and an older one not know how to say so, or else where
// files of the running system are.
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

// complain writes to libzypp's pipe for messages, which does not block, past Go's runtime,
// which would wait for a full pipe: then the message is lost, not the commit.
func complain(err error) { unix.Write(2, []byte("klp-audit: "+err.Error()+"\n")) }
