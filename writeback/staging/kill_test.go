package staging

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// killDirVariable makes the test binary the child of TestKill.
const killDirVariable = "MEGADISK_STAGING_KILL_DIR"

// killed is what the child says of one acknowledged Append.
type killed struct {
	Seed    uint64
	Size    int
	Extents []Extent
}

// killChild appends until it is killed, and says what was acknowledged.
func killChild(dir string) {
	s, err := Open(Options{Dir: dir, Key: testKey, SegmentSize: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	said := make(chan killed)
	for writer := range uint64(3) {
		go func() {
			for i := uint64(0); ; i++ {
				k := killed{Seed: writer<<20 | i, Size: int(1 + i*7919%300000)}
				es, err := s.Append(Owner{Ino: k.Seed + 1, Path: "/k"}, 0, content(k.Seed, k.Size))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				k.Extents = es
				said <- k
			}
		}()
	}
	out := json.NewEncoder(os.Stdout)
	for k := range said {
		if out.Encode(k) != nil {
			os.Exit(1)
		}
	}
}

// What Append acknowledged survives kill -9, in the middle of other appends.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var all []killed
	for run := range 5 {
		all = append(all, killOnce(t, dir, 20+run*13)...)
	}
	s, err := Open(Options{Dir: dir, Key: testKey})
	require.NoError(t, err)
	defer s.Close()
	for _, k := range all {
		s.Retain(k.Extents...)
	}
	s.Started()
	for _, k := range all {
		requireContent(t, content(k.Seed, k.Size), readBack(t, s, k.Extents))
	}
	before := segmentFiles(t, dir)
	es := mustAppend(t, s, testOwner, 0, []byte("after"))
	for _, f := range before {
		require.Greater(t, es[0].Seg, f.id, "an old segment is appended to")
	}

	saved := make(map[uint64][]byte)
	err = Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		if end := int(off) + len(data); end > len(saved[o.Ino]) {
			saved[o.Ino] = append(saved[o.Ino], make([]byte, end-len(saved[o.Ino]))...)
		}
		copy(saved[o.Ino][off:], data)
		return nil
	})
	if err != nil { // what was cut in the middle of its write
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
	}
	for _, k := range all {
		// A later run wrote the same inodes anew, with the same content.
		requireContent(t, content(k.Seed, k.Size), saved[k.Seed+1])
	}
}

// killOnce runs the child until it has acknowledged n appends.
func killOnce(t *testing.T, dir string, n int) (all []killed) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var k killed
		if json.Unmarshal(lines.Bytes(), &k) != nil {
			break // the line was cut by the kill
		}
		all = append(all, k)
		if len(all) == n {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait())
	require.GreaterOrEqual(t, len(all), n)
	return all
}
