// Relay sits between libzypp and the commit plugin and kills the plugin after it acknowledged as
// many frames as /lab/relay says. Then it exits, as the plugin would have.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

func main() {
	text, err := os.ReadFile("/lab/relay")
	if err != nil {
		log.Fatal(err)
	}
	frames, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		log.Fatalf("reading /lab/relay: %v", err)
	}
	if err := relay(frames); err != nil {
		log.Fatal(err)
	}
}

// relay forwards this many frames and their answers, then kills the plugin.
func relay(frames int) error {
	plugin := exec.Command("/lab/plugin")
	plugin.Stderr = os.Stderr
	stdin, err := plugin.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := plugin.StdoutPipe()
	if err != nil {
		return err
	}
	if err := plugin.Start(); err != nil {
		return err
	}
	libzypp, answers := bufio.NewReader(os.Stdin), bufio.NewReader(stdout)
	for range frames {
		if err := forward(libzypp, stdin); err != nil {
			return fmt.Errorf("forwarding a frame: %w", err)
		}
		if err := forward(answers, os.Stdout); err != nil {
			return fmt.Errorf("forwarding an answer: %w", err)
		}
	}
	if err := plugin.Process.Kill(); err != nil {
		return err
	}
	plugin.Wait() // it was killed: how it ended does not matter
	return nil
}

// forward copies one frame, which ends with a NUL.
func forward(from *bufio.Reader, to io.Writer) error {
	frame, err := from.ReadBytes(0)
	if err != nil {
		return err
	}
	_, err = to.Write(frame)
	return err
}
