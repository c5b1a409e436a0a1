package recorder

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
	// observeTime is how long the observation after a commit may take; its process gets more time
	// to store it. PLUGINEND waits for both.
	observeTime    = 2 * time.Second
	observeProcess = AnswerTime - time.Second
	// program takes the observation. It is a separate process, because the recorder starts in every
	// such commit and links nothing that reads journals and images.
	program = "usr/bin/klp-audit"
	// requestFile asks the service for an observation: a .path unit watches it.
	requestFile = "run/klp-audit/observe"
)

// Observe starts an observation after a commit that changed the running system. If that is
// impossible now, or would take tasks or memory that zypper may need, it is left to the service.
func (r *Recorder) Observe() {
	if !r.live {
		return
	}
	if room.For(room.Plenty) != nil {
		r.ObserveLater()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), observeProcess)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.root, "/", program), "observe", "--trigger", "commit", "--within", observeTime.String())
	cmd.Env = append(goenv.Own(), "HOME=/root", "LC_ALL=C")
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // SIGTERM lets it end its own children
	cmd.WaitDelay = 500 * time.Millisecond
	if err := cmd.Run(); err != nil {
		r.ObserveLater()
	}
}

// ObserveLater leaves the observation to the service.
func (r *Recorder) ObserveLater() {
	if r.live {
		r.report(RequestObservation(r.root))
	}
}

// RequestObservation asks the service on the machine whose file tree is at root for an observation.
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
