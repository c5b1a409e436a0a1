package pgtest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// folder is a folder for one cluster. It is removed when nobody holds it any more: neither this
// process, however it ends, nor a program of the cluster.
type folder struct {
	path   string // as the cluster's programs see it
	held   *os.File
	keeper *exec.Cmd
	stderr bytes.Buffer
}

// keep makes the folder $0, waits until all who hold its input have gone, and removes the folder. A
// server that was killed leaves a segment of shared memory, too: postmaster.pid names it.
const keep = `
trap '' HUP INT QUIT PIPE TERM
mkdir -m 700 "$0" && echo made || exit
cat >/dev/null
set -- $(sed -n 7p "$0/data/postmaster.pid" 2>/dev/null)
[ -z "${2:-}" ] || ipcrm -m "$2"
rm -rf "$0"
`

// newFolder makes a folder in /tmp: the path of a socket has at most 107 bytes, and the user
// postgres may not enter all folders that TMPDIR can name.
func newFolder(i *installation) (*folder, error) {
	f := &folder{path: folderPrefix(os.Getpid()) + rand.Text()[:8]}
	f.keeper = i.command("/bin/sh", "-c", keep, f.path)
	f.keeper.SysProcAttr.Setsid = true // no signal to the tests' process group ends it
	f.keeper.Stderr = &f.stderr
	made, err := f.keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	input, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f.keeper.Stdin, f.held = input, held
	err = f.keeper.Start()
	input.Close()
	if err != nil {
		held.Close()
		return nil, err
	}
	if _, err := bufio.NewReader(made).ReadString('\n'); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// folderPrefix is how the paths of all folders begin that a process makes.
func folderPrefix(pid int) string { return fmt.Sprintf("/tmp/klp-audit-pg-%d-", pid) }

// close removes the folder; what holds it must have ended.
func (f *folder) close() error {
	f.held.Close()
	if err := f.keeper.Wait(); err != nil {
		return fmt.Errorf("keeping the folder %q: %w\n%s", f.path, err, &f.stderr)
	}
	return nil
}
