package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
)

var installed struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if installed.dir != "" {
		_ = os.RemoveAll(installed.dir)
	}
	program.CleanUp()
	os.Exit(code)
}

// megajs gives the folder in which megajs is installed. A test that can't have it is skipped loudly, or
// fails with MEGADISK_REQUIRE_PEERS=1.
func megajs(t *testing.T) string {
	t.Helper()
	installed.once.Do(func() { installed.dir, installed.err = install() })
	if installed.err != nil {
		if os.Getenv("MEGADISK_REQUIRE_PEERS") == "1" {
			t.Fatalf("megajs can't be used, and MEGADISK_REQUIRE_PEERS=1 says that it must be: %v", installed.err)
		}
		t.Skipf("SKIPPED, NOT RUN: megajs can't be used: %v", installed.err)
	}
	return installed.dir
}

func install() (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed", program)
		}
	}
	dir, err := os.MkdirTemp("", "megadisk-peers-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "agent.mjs"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return dir, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return dir, err
		}
	}
	npm := exec.Command("npm", "ci")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("npm ci: %w: %s", err, lastLines(out))
	}
	return dir, nil
}

func lastLines(b []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-5):], []byte("\n"))
}

// agent is a running megajs.
type agent struct {
	*testing.T
	commands io.Writer
	answers  *bufio.Scanner
	last     int
	scratch  string
}

// newAgent starts megajs against a server, given without a slash at its end.
func newAgent(t *testing.T, url string) *agent {
	t.Helper()
	dir := megajs(t)
	node := exec.Command("node", "agent.mjs", url+"/")
	node.Dir = dir
	node.Stderr = t.Output()
	in, err := node.StdinPipe()
	require.NoError(t, err)
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := node.Wait(); err != nil {
			t.Errorf("megajs ended badly: %v", err)
		}
	})
	answers := bufio.NewScanner(out)
	answers.Buffer(nil, 64<<20)
	return &agent{T: t, commands: in, answers: answers, scratch: filepath.Join(t.TempDir(), "scratch")}
}

type args map[string]any

// try runs one command and decodes its result into out, if that isn't nil.
func (a *agent) try(op string, args args, out any) error {
	a.Helper()
	a.last++
	command := map[string]any{"id": a.last, "op": op}
	for k, v := range args {
		command[k] = v
	}
	b, err := json.Marshal(command)
	require.NoError(a, err)
	_, err = a.commands.Write(append(b, '\n'))
	require.NoError(a, err)
	require.True(a, a.answers.Scan(), "megajs went away during %s: %v", op, a.answers.Err())
	var answer struct {
		ID     int
		Result json.RawMessage
		Error  string
	}
	require.NoError(a, json.Unmarshal(a.answers.Bytes(), &answer))
	require.Equal(a, a.last, answer.ID)
	if answer.Error != "" {
		return fmt.Errorf("megajs: %s: %s", op, answer.Error)
	}
	if out != nil {
		require.NoError(a, json.Unmarshal(answer.Result, out))
	}
	return nil
}

func (a *agent) do(op string, args args, out any) {
	a.Helper()
	require.NoError(a, a.try(op, args, out))
}

// put uploads content and gives the new node's handle.
func (a *agent) put(folder, name string, content []byte) string {
	a.Helper()
	require.NoError(a, os.WriteFile(a.scratch, content, 0o600))
	var result struct{ Handle string }
	a.do("put", args{"path": folder, "name": name, "from": a.scratch}, &result)
	return result.Handle
}

// fetch runs a command that downloads and gives the bytes.
func (a *agent) fetch(op string, more args) ([]byte, error) {
	a.Helper()
	more["to"] = a.scratch
	if err := a.try(op, more, nil); err != nil {
		return nil, err
	}
	return os.ReadFile(a.scratch)
}

func (a *agent) get(path string, verify bool) ([]byte, error) {
	a.Helper()
	return a.fetch("get", args{"path": path, "verify": verify})
}

// see waits until megajs sees exactly these paths.
func (a *agent) see(paths ...string) {
	a.Helper()
	slices.Sort(paths)
	a.do("see", args{"paths": paths}, nil)
}
