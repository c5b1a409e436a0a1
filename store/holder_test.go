package store_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// hold keeps others from the record until its input ends.
func hold(path string) {
	db, err := sql.Open("sqlite3", path+"?_txlock=exclusive")
	if err == nil {
		_, err = db.Begin()
	}
	fmt.Println("held", err)
	io.Copy(io.Discard, os.Stdin)
}

func TestErrorNamesWhoHoldsTheRecord(t *testing.T) {
	root := sample(t)
	s := open(t, root)
	s.WaitAtMost(0)
	cmd := osexec.Command("/proc/self/exe", store.Path(root))
	cmd.Env = []string{roleVar + "=hold"}
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Errorf("the record is not held: %q", line)
	}
	want := fmt.Sprintf("record %q: held by process %d (", store.Path(root), cmd.Process.Pid)
	if err := s.Append(t.Context(), begin(7)); !store.IsLocked(err) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s…", err, want)
	}
	in.Close()
	check(t, cmd.Wait())
	check(t, s.Append(t.Context(), begin(7)))
}
