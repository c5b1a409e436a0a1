// Package room finds out how many tasks and how much memory are free for a process: zypper and rpm
// may lack what klp-audit uses. It links little and reads few files, because it is part of a
// program that libzypp starts in every commit.
package room

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unlimited means that no limit is known.
const unlimited = math.MaxInt64

// Room is what is needed.
type Room struct {
	Tasks  int64  // threads included
	Memory int64  // bytes; 0: not checked
	Files  uint64 // open files that the process needs
}

// What a plugin with nothing to record needs, what a recorder with its rpm needs, and what one
// needs that does several things at once. What zypper uses meanwhile is included. With 12 open
// files a recorder failed.
var (
	Plugin   = Room{Tasks: 12}
	Recorder = Room{Tasks: 12, Memory: 24 << 20, Files: 16}
	Plenty   = Room{Tasks: 24, Memory: 64 << 20}
)

// For says what is missing here of what is needed, if anything. The tightest limit decides: that of
// the process itself, of its user, and of its control groups and all that contain them.
func For(need Room) error {
	groups := text("/proc/self/cgroup")
	if free := min(tasks.free(groups), ofUser()); free < need.Tasks {
		return scarce(free, " tasks")
	}
	if err := openFiles(need.Files); err != nil {
		return err
	}
	if need.Memory == 0 {
		return nil
	}
	if free := memory.free(groups); free < need.Memory {
		return scarce(free>>10, " KiB of memory")
	}
	return nil
}

func scarce(free int64, what string) error {
	free = max(free, 0)
	what += " are"
	if free == 1 {
		what = strings.TrimSuffix(strings.TrimSuffix(what, " are"), "s") + " is"
	}
	return errors.New("only " + strconv.FormatInt(free, 10) + what + " free, which zypper may need")
}

// resource is something that control groups limit.
type resource struct {
	controller string
	v1, v2     files
}

// files name the files of a control group that say how much may be used and how much is used; how
// much the kernel uses, if memory.stat does not say what part of that it can free; and which lines
// of memory.stat count memory that is freed on demand.
type files struct {
	limit, used, kernel string
	given               []string
}

var (
	tasks = resource{"pids",
		files{limit: "/pids.max", used: "/pids.current"},
		files{limit: "/pids.max", used: "/pids.current"}}
	memory = resource{"memory",
		files{limit: "/memory.limit_in_bytes", used: "/memory.usage_in_bytes", kernel: "/memory.kmem.usage_in_bytes",
			given: []string{"total_inactive_file", "total_active_file"}},
		files{limit: "/memory.max", used: "/memory.current",
			given: []string{"inactive_file", "active_file", "slab_reclaimable"}}}
)

// free is how much is free in the control groups that /proc/self/cgroup lists: the one of version 1
// that has this resource, or else that of version 2.
func (r resource) free(groups string) int64 {
	unified := ""
	for line := range strings.Lines(groups) {
		_, group, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch controllers, path, _ := strings.Cut(group, ":"); controllers {
		case r.controller:
			return r.v1.free("/sys/fs/cgroup/"+r.controller, path)
		case "":
			unified = path
		}
	}
	return r.v2.free("/sys/fs/cgroup", unified)
}

// free is how much is free in a control group, and in all that contain it.
func (f files) free(mount, path string) (free int64) {
	path = strings.TrimRight(path, "/")
	// A container may see only a part of the hierarchy: then the first folders are missing.
	for path != "" && unix.Access(mount+path, unix.F_OK) != nil {
		_, path, _ = strings.Cut(path[1:], "/")
		path = strings.TrimRight("/"+path, "/")
	}
	for free = unlimited; ; path = path[:strings.LastIndexByte(path, '/')] {
		free = min(free, f.of(mount+path))
		if path == "" {
			return free
		}
	}
}

// of is how much the control group in a folder has free.
func (f files) of(folder string) int64 {
	limit, ok := number(folder + f.limit)
	if !ok || limit >= endless {
		return unlimited
	}
	used, _ := number(folder + f.used)
	return limit - used + f.givenAway(folder)
}

// endless is a memory limit that means none: cgroup v1 writes a larger number then.
const endless = 1 << 60

// givenAway is how much of the used memory is freed on demand: file contents, and what the kernel
// caches about files. Version 1 does not say how much of the kernel's memory that is, so all of it
// counts: stepping aside although there is room would leave a hole in the record.
func (f files) givenAway(folder string) (bytes int64) {
	if len(f.given) == 0 {
		return 0
	}
	if f.kernel != "" {
		bytes, _ = number(folder + f.kernel)
	}
	for line := range strings.Lines(text(folder + "/memory.stat")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(f.given, name) {
			n, _ := parse(value)
			bytes += n
		}
	}
	return bytes
}
