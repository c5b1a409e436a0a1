package plugin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klp-audit/klp-audit/internal/goenv"
	"github.com/klp-audit/klp-audit/internal/room"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	// observeTime is how long the observation after a commit may take; the process that
	// takes it gets longer, to store it. PLUGINEND waits for both.
	observeTime    = 2 * time.Second
	observeProcess = answerTime - time.Second
	// program takes the observation. It is another process, because the recorder starts in
	// commits and links nothing that reads journals and images.
	program = "usr/bin/klp-audit"
	// requestFile asks the service for an observation: a .path unit watches it.
	requestFile = "run/klp-audit/observe"
)

// observe has the machine observed after a commit that changed the running system. What
// cannot be done now, or would take tasks or memory that zypper may need, is left to the service.
func (r *Recorder) observe() {
	if !r.live {
		return
	}
	if room.For(room.Plenty) != nil {
		r.observeLater()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), observeProcess)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.root, "/", program), "observe", "--trigger", "commit", "--within", observeTime.String())
	cmd.Env = append(goenv.Own(), "HOME=/root", "LC_ALL=C")
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends its own children
	cmd.WaitDelay = 500 * time.Millisecond
	if err := cmd.Run(); err != nil {
		r.observeLater()
	}
}

// observeLater leaves the observation to the service.
func (r *Recorder) observeLater() {
	if r.live {
		r.report(RequestObservation(r.root))
	}
}

// RequestObservation asks the service on the machine whose file tree is at root to observe.
func RequestObservation(root string) error {
	path := filepath.Join(root, "/", requestFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := rooted.Regular(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}
