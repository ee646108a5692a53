package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// BenchmarkSmallFiles creates, writes and closes files of 4 KiB; then what is
// left is drained to a server with 50 ms of latency.
func BenchmarkSmallFiles(b *testing.B) {
	r := newRig(b, settleNever)
	data := make([]byte, 4096)
	b.ResetTimer()
	for i := range b.N {
		in, err := r.engine.Create(r.ctx, tree.DriveIno, fmt.Sprint(i), 0o644)
		require.NoError(b, err)
		f, err := r.engine.Open(r.ctx, in.Ino, true, false)
		require.NoError(b, err)
		_, err = f.WriteAt(r.ctx, data, 0)
		require.NoError(b, err)
		require.NoError(b, f.Flush(r.ctx))
		f.Release()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
	r.server.Faults().SetLatency(50 * time.Millisecond)
	before := r.server.Stats()
	begin := time.Now()
	r.flush()
	after := r.server.Stats()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "drained/s")
	b.ReportMetric(float64(after.Batches-before.Batches)/float64(b.N), "requests/file")
}

// BenchmarkSequentialWrite writes in pieces of 128 KiB.
func BenchmarkSequentialWrite(b *testing.B) {
	r := newRig(b, settleNever)
	data := make([]byte, 128<<10)
	b.SetBytes(int64(len(data)))
	f := r.create("f")
	b.ResetTimer()
	for i := range b.N {
		_, err := f.WriteAt(r.ctx, data, int64(i)*int64(len(data)))
		require.NoError(b, err)
	}
	require.NoError(b, f.Flush(r.ctx))
	b.StopTimer()
	f.Release()
}

// BenchmarkLargeDrain drains one file of 512 MiB, from the last write on, over
// 12 MB/s a connection, 100 MB/s in all, and 50 ms.
func BenchmarkLargeDrain(b *testing.B) {
	const size = 512 << 20
	r := newRigFor(b, 5*time.Minute, settleNever)
	data := make([]byte, 1<<20)
	b.SetBytes(size)
	for i := range b.N {
		b.StopTimer()
		f := r.create(fmt.Sprint("large", i))
		for off := int64(0); off < size; off += int64(len(data)) {
			_, err := f.WriteAt(r.ctx, data, off)
			require.NoError(b, err)
		}
		require.NoError(b, f.Flush(r.ctx))
		f.Release()
		r.server.Faults().SetLatency(50 * time.Millisecond)
		r.server.Faults().SetBandwidth(12e6, 100e6)
		b.StartTimer()
		r.flush()
	}
}
