package main

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"
)

// manyStreams reads many large files at once.
func (r *reading) manyStreams() error {
	if err := r.mount.cold(); err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, streams)
	rate, _ := timed(streams*streamLen/1e6, func() error {
		for i := range streams {
			group.Go(func() { _, _, errs[i] = sequential(r.path(filepath.Join("read-many", fmt.Sprint(i)))) })
		}
		group.Wait()
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	use, err := r.mount.usage()
	if err != nil {
		return err
	}
	r.show(figure{name: "most memory with 20 streams at once", unit: "MB", atMost: true, target: 300, against: "VmHWM"}, []float64{use.peak / 1e6}, fmt.Sprintf("(together %.0f MB/s)", rate))
	return nil
}

// cryptography is chunk MACs against the standard library's CBC, on one core.
func (r *reading) cryptography() error {
	key := megacrypto.NewFileKey()
	c := megacrypto.NewCipher(key)
	chunks := make([][]byte, 8)
	for i := range chunks {
		chunks[i] = make([]byte, 1<<20)
	}
	var ours, library []float64
	b, _ := aes.NewCipher(key.Key[:])
	for range max(5, r.c.runs) {
		v, _ := timed(float64(len(chunks)<<20)*8/1e6, func() error {
			for range 8 {
				c.ChunkMACs(nil, chunks)
			}
			return nil
		})
		l, _ := timed(float64(len(chunks)<<20)/1e6, func() error {
			for _, chunk := range chunks {
				cipher.NewCBCEncrypter(b, make([]byte, 16)).CryptBlocks(chunk, chunk)
			}
			return nil
		})
		ours, library = append(ours, v), append(library, l)
	}
	r.show(figure{name: "chunk MACs, one core", unit: "MB/s", target: 4 * median(library), against: "4 × the library's CBC"}, ours, "")
	return nil
}

// ctrSeconds is what one pass of the standard library's CTR over a GiB takes.
func ctrSeconds() float64 {
	b, _ := aes.NewCipher(make([]byte, 16))
	buf := make([]byte, 128<<10)
	best := time.Hour
	for range 5 {
		ctr := cipher.NewCTR(b, make([]byte, 16))
		start := time.Now()
		for range 1 << 30 / len(buf) / 8 {
			ctr.XORKeyStream(buf, buf)
		}
		best = min(best, time.Since(start)*8)
	}
	return best.Seconds()
}
