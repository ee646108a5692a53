package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
	"megadisk/integration/steady"
)

func hashed(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// TestOneFileEveryWay works on one file as fsx does: reads, writes, appends, truncates, holes and zeros at random
// places, reopening and flushing in between, against a slice of bytes.
func TestOneFileEveryWay(t *testing.T) {
	steps := 600
	if os.Getenv("MEGADISK_LONG") == "1" {
		steps = 100_000
	}
	seed := steady.Seed()
	t.Logf("seed %d", seed)
	x := &exerciser{t: t, h: harness.New(t), rng: rand.New(rand.NewPCG(seed, 0))}
	x.open(os.O_CREATE)
	for i := range steps {
		x.step()
		if i%50 == 49 {
			x.check()
		}
	}
	x.check()
	require.NoError(t, x.f.Close())
	require.NoError(t, x.h.Engine.Flush(x.h.Context(), 0))
	require.Equal(t, hashed(x.want), cloudEntry(x.h.Account.Tree()["file"]), "in the cloud")
}

type exerciser struct {
	t    *testing.T
	h    *harness.Harness
	rng  *rand.Rand
	f    *os.File
	want []byte
}

const exerciseMost = 1 << 20

func (x *exerciser) open(flags int) {
	f, err := os.OpenFile(x.h.Path("file"), os.O_RDWR|flags, 0o644)
	require.NoError(x.t, err)
	x.f = f
}

// place draws a range.
func (x *exerciser) place() (off, n int) {
	return x.rng.IntN(exerciseMost), 1 + x.rng.IntN(1<<(1+x.rng.IntN(17)))
}

func (x *exerciser) grow(to int) {
	if to > len(x.want) {
		x.want = append(x.want, make([]byte, to-len(x.want))...)
	}
}

func (x *exerciser) step() {
	off, n := x.place()
	switch x.rng.IntN(10) {
	case 0, 1, 2:
		data := bytes.Repeat([]byte{byte(x.rng.Uint32())}, n)
		_, err := x.f.WriteAt(data, int64(off))
		require.NoError(x.t, err)
		x.grow(off + n)
		copy(x.want[off:], data)
	case 3, 4:
		x.read(off, n)
	case 5:
		require.NoError(x.t, x.f.Truncate(int64(off)))
		x.grow(off)
		x.want = x.want[:off]
	case 6:
		require.NoError(x.t, unix.Fallocate(int(x.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n)))
		if off < len(x.want) {
			clear(x.want[off:min(off+n, len(x.want))])
		}
	case 7:
		require.NoError(x.t, unix.Fallocate(int(x.f.Fd()), unix.FALLOC_FL_ZERO_RANGE, int64(off), int64(n)))
		x.grow(off + n)
		clear(x.want[off : off+n])
	case 8:
		require.NoError(x.t, errors.Join(x.f.Sync(), x.f.Close()))
		x.open(0)
	default:
		if x.rng.IntN(8) == 0 {
			require.NoError(x.t, x.h.Engine.Flush(x.h.Context(), 0))
		}
	}
}

func (x *exerciser) read(off, n int) {
	buf := make([]byte, n)
	got, err := x.f.ReadAt(buf, int64(off))
	if err != io.EOF {
		require.NoError(x.t, err)
	}
	want := x.want[min(off, len(x.want)):min(off+n, len(x.want))]
	require.True(x.t, bytes.Equal(want, buf[:got]), "%d bytes at %d of %d", n, off, len(x.want))
}

func (x *exerciser) check() {
	info, err := x.f.Stat()
	require.NoError(x.t, err)
	require.EqualValues(x.t, len(x.want), info.Size())
	x.read(0, len(x.want)+1)
}
