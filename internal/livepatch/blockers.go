package livepatch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Blockers lists the tasks that have not switched to the patch in transition yet: those whose
// /proc/PID/task/TID/patch_state is 0 or 1, but not the state that the patch aims for. There are
// none if no patch is in transition.
func Blockers(root string) (record.Blockers, error) {
	patches, err := Loaded(root)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(patches, func(p record.LoadedPatch) bool { return p.Transition })
	switch {
	case i < 0:
		return record.Blockers{}, nil
	case patches[i].KGraft:
		return scan(root, "kgr_in_progress", "1")
	case patches[i].Enabled:
		return scan(root, "patch_state", "0")
	}
	return scan(root, "patch_state", "1")
}

// scan lists the tasks whose file of this name contains the text blocking.
func scan(root, name, blocking string) (record.Blockers, error) {
	pids, err := numbered(root, "/proc")
	if err != nil {
		return nil, err
	}
	found, seen := record.Blockers{}, false
	for _, pid := range pids {
		tasks, err := states(root, pid, name)
		if err != nil {
			return nil, err
		}
		for tid, state := range tasks {
			if seen = true; state == blocking {
				found = append(found, record.Blocker{PID: pid, TID: tid, Comm: comm(root, taskDir(pid, tid))})
			}
		}
	}
	slices.SortFunc(found, func(a, b record.Blocker) int { return cmp.Or(a.PID-b.PID, a.TID-b.TID) })
	if !seen {
		return nil, fmt.Errorf("reading /proc: no task has a %s", name)
	}
	return found, nil
}

func taskDir(pid, tid int) string { return fmt.Sprintf("/proc/%d/task/%d", pid, tid) }

// states reads the states of the tasks of a process, as far as the tasks still exist.
func states(root string, pid int, name string) (map[int]string, error) {
	tids, err := numbered(root, fmt.Sprintf("/proc/%d/task", pid))
	if err != nil && !gone(err) {
		return nil, err
	}
	states := map[int]string{}
	for _, tid := range tids {
		state, err := readState(root, taskDir(pid, tid), name)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		states[tid] = state
	}
	return states, nil
}

// readState reads the state of a task. kGraft has one state for a whole process.
func readState(root, task, name string) (string, error) {
	if name == "kgr_in_progress" {
		task = path.Dir(path.Dir(task))
	}
	text, err := rooted.ReadFile(root, path.Join(task, name))
	if err != nil {
		return "", err
	}
	state, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || state < -1 || state > 1 {
		return "", fmt.Errorf("parsing %q: %.100q is not a state", path.Join(task, name), text)
	}
	return strconv.Itoa(state), nil
}

// numbered lists the entries of a folder that are numbers.
func numbered(root, dir string) (numbers []int, err error) {
	entries, err := rooted.ReadDir(root, dir)
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && isDigits(e.Name()) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// comm is the name of a task, which the task may have chosen itself.
func comm(root, task string) string {
	text, err := rooted.ReadFile(root, path.Join(task, "comm"))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSuffix(text, "\n"), "\uFFFD")
}

// gone says that a task ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
