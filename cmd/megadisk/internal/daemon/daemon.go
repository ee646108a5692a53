// Package daemon starts this program once more in the background and waits until it says that it is ready.
//
// The child is the same executable with the same arguments; an environment variable tells it that the pipe at
// descriptor 3 waits for its word. It writes "ready", or its error and exit status, and closes the pipe.
// So the parent's exit status is true: 0 means that the mount answers.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

const envChild = "MEGADISK_BACKGROUND"

// readyFD is where a child finds its pipe: the first after the standard three.
const readyFD = 3

// word is what the child says.
type word struct {
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"`
	Exit  int    `json:"exit,omitempty"`
}

// Failure is why the child could not start, and its exit status.
type Failure struct {
	Message string
	Exit    int
}

func (f *Failure) Error() string { return f.Message }

// Child says whether this process was started by Start.
func Child() bool { return os.Getenv(envChild) != "" }

// Start runs this program again with args and the standard input given, detached from the terminal, its output going to
// logFile (created, mode 0600). It returns when the child is ready, or *Failure. When ctx ends first, the child is told to end too.
func Start(ctx context.Context, args []string, stdin, logFile string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), envChild+"=1")
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("starting in the background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it may have ended
	defer stop()
	return wait(r, cmd)
}

func wait(r io.Reader, cmd *exec.Cmd) error {
	var say word
	if err := json.NewDecoder(r).Decode(&say); err != nil {
		// It died without a word: its own last line is in the log.
		state := "ended"
		if waitErr := cmd.Wait(); waitErr != nil {
			state = waitErr.Error()
		}
		return &Failure{Message: fmt.Sprintf("the background process said nothing (%s): see its log, or run with -f", state), Exit: 1}
	}
	if say.Ready {
		return cmd.Process.Release()
	}
	_ = cmd.Wait()
	return &Failure{Message: say.Error, Exit: say.Exit}
}

// Ready tells the waiting parent that all is well. Without a parent it does nothing.
func Ready() { tell(word{Ready: true}) }

// Failed tells the waiting parent why not, and the exit status that it should end with. It returns false when there
// is none, or none any more.
func Failed(sentence string, exit int) (told bool) { return tell(word{Error: sentence, Exit: exit}) }

func tell(say word) (told bool) {
	if !Child() {
		return false
	}
	pipe := os.NewFile(readyFD, "ready")
	if pipe == nil {
		return false
	}
	_ = os.Unsetenv(envChild)
	err := json.NewEncoder(pipe).Encode(say) // the parent may be gone: then nobody waits
	return pipe.Close() == nil && err == nil
}

// AsFailure returns the Failure in err, if there is one.
func AsFailure(err error) (*Failure, bool) {
	var f *Failure
	ok := errors.As(err, &f)
	return f, ok
}
