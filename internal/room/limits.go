package room

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ofUser is how many tasks the user's RLIMIT_NPROC still allows. fork(2) does not apply it to root
// or to processes that may set limits, provided that they are such in the machine's own user
// namespace.
func ofUser() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &limit); err != nil || limit.Cur >= endless || exempt() {
		return unlimited
	}
	return int64(limit.Cur) - tasksOf(os.Getuid())
}

// openFiles returns an error if the process may have fewer files open than are needed.
func openFiles(need uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= need {
		return nil
	}
	return errors.New("at most " + strconv.FormatUint(limit.Cur, 10) + " open files are allowed, and recording takes " + strconv.FormatUint(need, 10))
}

// initialUsers is the inode of the machine's own user namespace (PROC_USER_INIT_INO).
const initialUsers = 0xEFFFFFFD

func exempt() bool {
	var users unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &users); err == nil && users.Ino != initialUsers {
		return false
	}
	return os.Getuid() == 0 || capable(unix.CAP_SYS_RESOURCE) || capable(unix.CAP_SYS_ADMIN)
}

func capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[capability/32].Effective&(1<<(capability%32)) != 0
}

// tasksOf counts the tasks of a user.
func tasksOf(uid int) (tasks int64) {
	fd, ok := open("/proc")
	if !ok {
		return 0
	}
	defer unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	for {
		n, _, failed := unix.RawSyscall(unix.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&entries[0])), uintptr(len(entries)))
		if failed != 0 || n == 0 {
			return tasks
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			tasks += ofProcess(name, uid)
		}
	}
}

// entries is the buffer for reading a folder.
var entries [8 << 10]byte

// ofProcess counts the tasks of a process, an entry of /proc, if it belongs to the user.
func ofProcess(name string, uid int) int64 {
	if name[0] < '0' || name[0] > '9' {
		return 0
	}
	status := text("/proc/" + name + "/status")
	if owner, _ := parse(field(status, "\nUid:")); owner != int64(uid) {
		return 0
	}
	threads, _ := parse(field(status, "\nThreads:"))
	return threads
}

// field is the first word after a key.
func field(status, key string) string {
	_, rest, _ := strings.Cut(status, key)
	word, _, _ := strings.Cut(strings.TrimLeft(rest, " \t"), "\t")
	word, _, _ = strings.Cut(word, "\n")
	return word
}

// number reads a file with a number. ok is false if there is none: "max".
func number(path string) (n int64, ok bool) { return parse(strings.TrimSpace(text(path))) }

func parse(s string) (n int64, ok bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// text reads the beginning of a file.
func text(path string) string {
	fd, ok := open(path)
	if !ok {
		return ""
	}
	var piece [4 << 10]byte
	n, _, failed := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&piece[0])), uintptr(len(piece)))
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	if failed != 0 {
		return ""
	}
	return string(piece[:n])
}

// open opens a file or folder without ever blocking. It bypasses Go's runtime, which might start a
// thread for each such call, and dies if it cannot.
func open(path string) (fd uintptr, ok bool) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return 0, false
	}
	fd, _, failed := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(name)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	return fd, failed == 0
}

// here is the folder that relative paths start from; it is a variable because it is negative.
var here = unix.AT_FDCWD
