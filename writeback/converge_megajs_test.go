package writeback

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/stretchr/testify/require"
)

// jsVariable names the folder in which megajs is installed beside the peers' agent.mjs: then it is the other client of
// TestConvergence (make converge-peers).
const jsVariable = "MEGADISK_MEGAJS"

// megajs is a client of the account that others have written.
type megajs struct {
	*convergence
	commands io.Writer
	answers  *bufio.Scanner
	scratch  string
}

func (v *convergence) startMegajs(dir string) *megajs {
	node := exec.Command("node", "agent.mjs", v.server.URL()+"/")
	node.Dir = dir
	in, err := node.StdinPipe()
	require.NoError(v, err)
	out, err := node.StdoutPipe()
	require.NoError(v, err)
	require.NoError(v, node.Start())
	v.Cleanup(func() {
		_ = in.Close()
		_ = node.Wait() // it may well have ended: that its server breaks isn't its subject
	})
	js := &megajs{v, in, bufio.NewScanner(out), filepath.Join(v.TempDir(), "scratch")}
	require.NoError(v, js.do("calm", nil))
	require.NoError(v, js.do("login", map[string]any{"email": testMail, "password": testPassword}))
	return js
}

// do runs one command; an error is what megajs says.
func (js *megajs) do(op string, args map[string]any) error {
	js.Helper()
	command := map[string]any{"id": 0, "op": op}
	for k, v := range args {
		command[k] = v
	}
	line, err := json.Marshal(command)
	require.NoError(js, err)
	_, err = js.commands.Write(append(line, '\n'))
	require.NoError(js, err)
	require.True(js, js.answers.Scan(), "megajs went away during %s", op)
	var answer struct{ Error string }
	require.NoError(js, json.Unmarshal(js.answers.Bytes(), &answer))
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// change does one operation, which may well fail: megajs knows no more than it has heard, and repeats little.
func (js *megajs) change(i int) {
	p := js.pick()
	dir, name := path.Split(p)
	dir = path.Clean("/" + dir)[1:]
	var err error
	switch js.rnd.IntN(6) {
	case 0:
		err = js.do("rename", map[string]any{"path": p, "name": string(rune('a' + js.rnd.IntN(4)))})
	case 1:
		err = js.do("move", map[string]any{"path": p, "target": []string{"", "d0", "d1"}[js.rnd.IntN(3)]})
	case 2:
		err = js.do("mkdir", map[string]any{"path": "", "name": fmt.Sprintf("d%d", js.rnd.IntN(2))})
	case 3:
		err = js.do("delete", map[string]any{"path": p, "permanent": false})
	default:
		content := fmt.Sprintf("js %d", i)
		require.NoError(js, os.WriteFile(js.scratch, []byte(content), 0o600))
		if err = js.do("put", map[string]any{"path": dir, "name": name, "from": js.scratch}); err == nil {
			js.promised[content] = "js"
		}
	}
	if err != nil {
		_ = js.do("reload", nil) // what it missed while the server was away
	}
}
