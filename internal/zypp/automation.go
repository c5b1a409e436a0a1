package zypp

import (
	"io/fs"
	"path"
	"strings"
)

// automation names what started the commit if it was no human: the nearest known program among the
// process and its ancestors, else the systemd service that the process belongs to.
func automation(proc fs.FS, chain []stat, environ func(string) string) string {
	for _, st := range chain[1:] {
		if name := automationName(st.comm, argv(proc, st.pid)); name != "" {
			return name
		}
	}
	// Inside the chroot of transactional-update, its ancestors may be invisible.
	if isTrue(environ("TRANSACTIONAL_UPDATE")) {
		return "transactional-update"
	}
	text, err := readText(proc, procName(chain[0].pid, "cgroup"))
	if err != nil {
		return ""
	}
	if unit := serviceUnit(text); unit != "" {
		return "systemd:" + unit
	}
	return ""
}

// automationName says whether a program is one that starts commits by itself.
func automationName(comm string, args []string) string {
	for _, name := range append(programNames(args), comm) {
		switch name {
		case "salt-minion":
			return name
		case "transactional-update", "transactional-u", "tukit": // the kernel cuts the name at 15 bytes
			return "transactional-update"
		case "cron", "crond", "CRON":
			return "cron"
		}
	}
	return ""
}

// programNames returns the names of a program by its command line: its own, and that of the script
// if it is an interpreter. It looks at words, not arguments, because salt-minion puts its whole
// title into one argument.
func programNames(args []string) []string {
	words := strings.Fields(strings.Join(args, " "))
	if len(words) == 0 {
		return nil
	}
	names := []string{path.Base(words[0])}
	if !strings.HasPrefix(names[0], "python") && !strings.HasSuffix(names[0], "sh") {
		return names
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") {
			return append(names, path.Base(word))
		}
	}
	return names
}

// serviceUnit finds the system service in the text of /proc/PID/cgroup: in the line of systemd's
// own hierarchy (cgroup v1), else in that of cgroup v2.
func serviceUnit(text string) string {
	var v1, v2 string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if _, p, found := strings.Cut(line, ":name=systemd:"); found {
			v1 = p
		}
		if p, found := strings.CutPrefix(line, "0::"); found {
			v2 = p
		}
	}
	if unit := topService(v1); unit != "" {
		return unit
	}
	return topService(v2)
}

// topService returns the topmost service of a cgroup path, unless a human works in it: for example,
// the terminals of a desktop are below user@1000.service.
func topService(cgroup string) string {
	for part := range strings.SplitSeq(cgroup, "/") {
		switch path.Ext(part) {
		case ".scope":
			return ""
		case ".service":
			if isLoginService(part) {
				return ""
			}
			return strings.ToValidUTF8(part, "\uFFFD")
		}
	}
	return ""
}

func isLoginService(unit string) bool {
	name, _, _ := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	switch name {
	case "user", "ssh", "sshd", "autovt", "rescue", "emergency", "debug-shell", "display-manager":
		return true
	}
	return strings.HasSuffix(name, "getty")
}
