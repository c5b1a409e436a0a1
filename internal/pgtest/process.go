package pgtest

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a program that does not outlive this process.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when the program and all its children have gone
	err  error         // how the program ended, once it has gone
}

// start starts a program, which gets a signal when this process ends, however that happens. It
// inherits the files.
func start(cmd *exec.Cmd, death syscall.Signal, files ...*os.File) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The program's children inherit the pipe's end: once it is closed, the last one has gone.
	cmd.ExtraFiles = append(files, w)
	cmd.SysProcAttr.Pdeathsig = death
	p := &process{cmd: cmd, gone: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread ends that started the program, so this thread
		// stays for as long as the program.
		runtime.LockOSThread()
		defer close(p.gone)
		defer r.Close()
		err := cmd.Start()
		w.Close()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			io.Copy(io.Discard, r)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// end sends a signal, and waits until the program and all its children have gone. It fails if the
// program had ended before.
func (p *process) end(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	<-p.gone
	return err
}
