package pgtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Nothing is left after a test that killed its server, nor after one that left it alone.
func TestNothingIsLeft(t *testing.T) {
	for _, killed := range []bool{false, true} {
		var folder, segment string
		t.Run(fmt.Sprintf("killed=%t", killed), func(t *testing.T) {
			s := Start(t)
			folder, segment = s.engine.outside(s.engine.folder.path), sharedMemory(t, s)
			if killed {
				s.Kill()
			}
			if !segments(t)[segment] {
				// Otherwise this test would look for what is never there.
				t.Errorf("shared memory %s is not there before the end", segment)
			}
		})
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("killed=%t: the folder is left: %v", killed, err)
		}
		if left := processes(t, filepath.Base(folder)); len(left) > 0 {
			t.Errorf("killed=%t: processes are left: %q", killed, left)
		}
		if segments(t)[segment] {
			t.Errorf("killed=%t: shared memory %s is left", killed, segment)
		}
	}
}

// stages are what a program of tests does before it is killed.
var stages = []string{"making a cluster", "made a cluster", "shared one", "killed a server"}

// A program of tests is killed: nothing is left of its servers, whatever it was doing.
func TestNothingIsLeftOfAKilledProgram(t *testing.T) {
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			child := exec.Command(os.Args[0], "-test.run", "^TestVictim$")
			child.Env = append(os.Environ(), "KLP_AUDIT_PGTEST_STAGE="+stage, "KLP_AUDIT_FLEET_DSN=")
			output, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			family := startFamily(t, child)
			memory := killAt(t, child, output, stage)
			folders := folderPrefix(child.Process.Pid)
			awaitEnd(t, family, folders)

			i, err := findInstallation()
			if err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(i.outside(folders + "*")); len(left) > 0 {
				t.Errorf("folders are left: %q", left)
			}
			if left := processes(t, folders); len(left) > 0 {
				t.Errorf("processes are left: %q", left)
			}
			if segments(t)[memory] {
				t.Errorf("shared memory %s is left", memory)
			}
		})
	}
}

// TestVictim is what TestNothingIsLeftOfAKilledProgram starts and kills.
func TestVictim(t *testing.T) {
	stage := os.Getenv("KLP_AUDIT_PGTEST_STAGE")
	if stage == "" {
		t.Skip("only for TestNothingIsLeftOfAKilledProgram")
	}
	did := func(what, memory string) {
		fmt.Printf("%s: %s\n", what, memory)
		if what == stage {
			select {}
		}
	}
	if stage == stages[0] {
		makeCluster(t, did)
	}
	s := Start(t)
	memory := sharedMemory(t, s)
	did("made a cluster", memory)
	keepBusy(t, DSN(t))
	did("shared one", memory)
	s.Kill()
	did("killed a server", memory)
}

// keepBusy gives a server work that has no end, and returns when it is at it.
func keepBusy(t *testing.T, dsn string) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { close(begun) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	go conn.Exec(t.Context(), "DO $$ BEGIN RAISE NOTICE 'begun'; LOOP END LOOP; END $$")
	<-begun
}

// makeCluster makes a cluster, and says so once initdb is at work.
func makeCluster(t *testing.T, did func(what, memory string)) {
	i, err := findInstallation()
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFolder(i)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{installation: i, folder: f, log: w}
	go e.initialize()
	r.Read(make([]byte, 1))
	did(stages[0], "")
}

// killAt kills a program with SIGKILL once it says that it has reached a stage, and returns what it
// says of it.
func killAt(t *testing.T, child *exec.Cmd, output io.Reader, stage string) string {
	t.Helper()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if memory, ok := strings.CutPrefix(lines.Text(), stage+": "); ok {
			child.Process.Kill()
			child.Wait()
			return memory
		}
		t.Log(lines.Text())
	}
	child.Wait()
	t.Fatalf("the program ended before it had %s", stage)
	return ""
}

// startFamily starts a program, and returns a pipe that ends with the last of its descendants.
func startFamily(t *testing.T, child *exec.Cmd) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	// All inherit the pipe's other end, for they do not know this number.
	child.ExtraFiles = append(make([]*os.File, 20), w)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// awaitEnd waits until the last of a family has gone.
func awaitEnd(t *testing.T, family *os.File, folders string) {
	t.Helper()
	if err := family.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, family); err != nil {
		t.Fatalf("waiting for the end of %q: %v", processes(t, folders), err)
	}
}

// processes are those whose command line or folder contains a text.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(all) == 0 {
		t.Fatalf("reading /proc: %v", err)
	}
	for _, dir := range all {
		// A process that has just gone has neither.
		line, _ := os.ReadFile(dir + "/cmdline")
		cwd, _ := os.Readlink(dir + "/cwd")
		if strings.Contains(string(line)+"\n"+cwd, text) {
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// sharedMemory is the number of the segment of shared memory that a server has, as text.
func sharedMemory(t *testing.T, s *Server) string {
	t.Helper()
	text, err := os.ReadFile(s.engine.outside(s.engine.data() + "/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(strings.Split(string(text)+strings.Repeat("\n", 7), "\n")[6])
	if len(fields) != 2 {
		t.Fatalf("no shared memory in %q", text)
	}
	return fields[1]
}

// segments are the segments of shared memory that there are.
func segments(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		found[strings.Fields(line)[1]] = true
	}
	return found
}
