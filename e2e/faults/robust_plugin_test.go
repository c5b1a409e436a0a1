package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// session is libzypp's side of one run of the plugin. A shell plays libzypp; the plugin is its
// child.
type session struct {
	m       *machine
	frames  []string
	setup   string   // commands of the shell that becomes the plugin, for example ulimit
	env     []string // of libzypp
	killed  bool     // the plugin may be gone before the end
	limited bool     // it may step aside, if it says so
	begun   sync.Once
	runs    chan bool // closed when it has answered once, or never will
}

// commitFrames are the frames of a commit with a tracked package.
func commitFrames(name string) []string {
	return []string{"PLUGINBEGIN\nuserdata:" + name + "\n\n\x00", "COMMITBEGIN\n\n" + announced + "\x00", "COMMITEND\n\n" + claimed + "\x00", "PLUGINEND\n\n\x00", "_DISCONNECT\n\n\x00"}
}

// run sends the frames and reads an answer to each. beside is called with the processes of the
// plugin and of libzypp, and works until the session ends.
func (s *session) run(beside func(plugin, libzypp int)) (v verdict) {
	m := s.m
	m.Helper()
	s.runs = make(chan bool)
	cmd := m.command("/bin/sh", "-c", `trap : HUP INT QUIT PIPE ALRM TERM USR1 USR2 VTALRM; /bin/sh -c 'echo $$ >/dev/fd/3; exec 3>&-; `+s.setup+` exec `+pluginPath+`'; exit`, "zypper")
	cmd.Env = append(cmd.Env, s.env...)
	in, err := cmd.StdinPipe()
	m.check(err)
	out, answers, err := os.Pipe()
	m.check(err)
	defer out.Close()
	pids, pid, err := os.Pipe()
	m.check(err)
	defer pids.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = answers, &stderr, []*os.File{pid}
	m.check(cmd.Start())
	answers.Close()
	pid.Close()
	line, _ := bufio.NewReader(pids).ReadString('\n')
	plugin, err := strconv.Atoi(strings.TrimSpace(line))
	m.check(err)
	done := make(chan bool)
	if beside == nil {
		close(done)
	} else {
		go func() { defer close(done); beside(plugin, cmd.Process.Pid) }()
	}
	v = s.speak(in, out)
	s.begun.Do(func() { close(s.runs) })
	in.Close()
	<-done
	rest, _ := io.ReadAll(out) // it has ended, or will
	err = cmd.Wait()
	if s.limited && strings.Contains(stderr.String(), "klp-audit: stepping aside, nothing is recorded: ") {
		v.harmed, v.why = false, ""
	}
	if err != nil && !s.killed {
		v = v.and(verdict{harmed: true, why: fmt.Sprintf("the plugin: %v, %.300s", err, stderr.String())})
	}
	if len(rest) > 0 && !s.killed {
		v = v.and(verdict{harmed: true, why: fmt.Sprintf("more on stdout: %.100q", rest)})
	}
	v.panicked = v.panicked || isPanic(stderr.String())
	if v.panicked {
		v.why += fmt.Sprintf("; %.500s", stderr.String())
	}
	return v
}

// speak waits for the answer to each frame as libzypp does.
func (s *session) speak(in io.Writer, out *os.File) (v verdict) {
	answers := bufio.NewReader(out)
	for i, f := range s.frames {
		start := time.Now()
		out.SetReadDeadline(start.Add(patience))
		go io.WriteString(in, f)
		answer, err := answers.ReadString(0)
		v.late = v.late || time.Since(start) > answerLimit
		if err == nil && (answer == "ACK\n\n\x00" || answer == "_ENOMETHOD\n\n\x00") {
			s.begun.Do(func() { close(s.runs) })
			continue
		}
		if !s.killed {
			v.harmed, v.why = true, fmt.Sprintf("frame %d: answer %.100q, %v", i, answer, err)
		}
		break
	}
	out.SetReadDeadline(time.Time{})
	return v
}

// killPlugin kills the plugin at a random moment.
func killPlugin(m *machine, rnd *rand.Rand) verdict {
	after := time.Duration(rnd.Int64N(int64(120 * time.Millisecond)))
	s := &session{m: m, frames: commitFrames(fmt.Sprint("kill ", rnd.Uint32())), killed: true}
	v := s.run(func(plugin, _ int) {
		time.Sleep(after)
		syscall.Kill(plugin, syscall.SIGKILL)
	})
	return v.and(m.stands())
}

// signalPlugin sends signals to libzypp's process group, as a terminal and a service manager do:
// either a few now and then, or so many that some come while the plugin becomes the recorder.
func signalPlugin(m *machine, rnd *rand.Rand) verdict {
	signals := []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN,
		syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGURG,
	}
	times, pause := 1+rnd.IntN(5), 20*time.Millisecond
	if rnd.IntN(2) == 0 {
		times, pause = 400, 20*time.Microsecond
	}
	name := fmt.Sprint("signal ", rnd.Uint32())
	s := &session{m: m, frames: commitFrames(name)}
	v := s.run(func(_, libzypp int) {
		<-s.runs // a program that is just starting cannot ignore anything
		for range times {
			syscall.Kill(-libzypp, signals[rnd.IntN(len(signals))])
			time.Sleep(time.Duration(rnd.Int64N(int64(pause))))
			syscall.Kill(-libzypp, syscall.SIGCONT)
		}
	})
	return v.and(m.stands()).and(m.has(name))
}

// limitPlugin gives libzypp too little of something, or a nonsensical environment.
func limitPlugin(m *machine, rnd *rand.Rand) verdict {
	limits := []struct {
		format      string
		least, more int
	}{
		{"ulimit -n %d;", 10, 60}, {"ulimit -f %d;", 6, 60}, {"ulimit -s 8192; ulimit -t %d;", 6, 60}, {"ulimit -c %d;", 6, 60}, {"ulimit -m %d;", 6, 60},
		{"ulimit -l %d;", 6, 60}, {"ulimit -v %d;", 640 << 10, 640 << 10}, {"ulimit -d %d;", 64 << 10, 128 << 10},
	}
	env := [][]string{
		{"GOMAXPROCS=100000"}, {"GOGC=1"}, {"GOGC=off", "GOMEMLIMIT=1"}, {"GODEBUG=madvdontneed=x,\x01"}, {"GODEBUG=cgocheck=2"}, {"TMPDIR=/nonexistent"}, {"HOME=/dev/null"},
		{"PATH="}, {"LANG=xx_YY.none", "LC_ALL=\xff"}, {"LD_PRELOAD=/nonexistent.so"}, {"TZ=:/dev/zero"}, {"SUDO_USER=" + strings.Repeat("x", 100000)},
		{"RPM_CONFIGDIR=/nonexistent"}, {"SQLITE_TMPDIR=/nonexistent"}, {"ZYPP_IS_RUNNING=-1"}, {"SYSTEMD_OFFLINE=1", "NOTIFY_SOCKET=/x"},
	}
	s := &session{m: m, frames: commitFrames(fmt.Sprint("limit ", rnd.Uint32())), limited: true}
	if rnd.IntN(2) == 0 {
		l := limits[rnd.IntN(len(limits))]
		s.setup = fmt.Sprintf(l.format, l.least+rnd.IntN(l.more))
	}
	for range rnd.IntN(3) {
		s.env = append(s.env, env[rnd.IntN(len(env))]...)
	}
	v := s.run(nil)
	if v.why != "" {
		v.why += fmt.Sprintf("; %q %.200q", s.setup, s.env)
	}
	return v.and(m.stands())
}

// hostileFrames sends frames that no libzypp sends, between proper ones.
func hostileFrames(m *machine, rnd *rand.Rand) verdict {
	noise := make([]byte, 1+rnd.IntN(5000))
	for i := range noise {
		noise[i] = byte(1 + rnd.IntN(255)) // a NUL would end the frame
	}
	steps := func(n int, step string) string {
		return "\n{\"TransactionStepList\":[" + strings.Repeat(step+",", n) + step + "]}"
	}
	tracked := `{"solvable":{"a":"x86_64","n":"kernel-default","r":"1","v":"` + fmt.Sprint(rnd.Uint32()) + `"},"type":"M"}`
	other := `{"solvable":{"a":"noarch","n":"bash","r":"1","v":"5"},"type":"+"}`
	bodies := []string{
		"COMMITBEGIN\n" + steps(1_000_000, other), "COMMITBEGIN\n" + steps(1000, tracked), "COMMITBEGIN\n\n" + strings.Repeat("[", 1_000_000),
		"COMMITBEGIN\ncontent-length:1180591620717411303424\n\n" + announced, "COMMITBEGIN\ncontent-length:-1\n\n" + announced,
		"COMMITBEGIN\n\n{\"TransactionStepList\":\"kernel-\"}", "COMMITEND\n\n" + string(noise), string(noise) + "\n\n",
		"X" + strings.Repeat("y", 100_000) + "\n\n", "PLUGINBEGIN\n" + strings.Repeat("a:b\n", 10_000) + "\n", "COMMITBEGIN\n" + strings.Repeat("k:v\n", 10_000) + "\n" + announced,
		"\n\n\n", "COMMITBEGIN\n\n" + announced + strings.Repeat(" ", 10_000_000), "COMMITBEGIN\n\n\xef\xbb\xbf" + announced,
	}
	frames := commitFrames(fmt.Sprint("frames ", rnd.Uint32()))
	for range 1 + rnd.IntN(3) {
		frames = slices.Insert(frames, rnd.IntN(len(frames)), bodies[rnd.IntN(len(bodies))]+"\x00")
	}
	// It may end: libzypp drops a plugin that it does not understand, and goes on. It must not
	// hang, panic, or leave an incomplete record.
	s := &session{m: m, frames: frames, killed: true}
	return s.run(nil).and(m.stands())
}

// has looks for the begin and the end of a commit in the record.
func (m *machine) has(name string) (v verdict) {
	m.Helper()
	if _, err := os.Stat(m.root + recordPath); err != nil {
		return verdict{harmed: true, why: err.Error()}
	}
	n := 0
	for _, ev := range m.recorded() {
		if ev.Kind == "commit-begin" && ev.Begin.UserData == name {
			n++
		}
	}
	if n != 1 {
		v.harmed, v.why = true, fmt.Sprintf("commit %q is %d times on record", name, n)
	}
	return v
}
