package megatest

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"

	"megadisk/megaclient/megacrypto"
)

// errForgotten is what reading forgetful content gives.
var errForgotten = errors.New("megatest: content wasn't kept (WithoutContent)")

// checksums is the seed of forgetful content, for as long as this process lives.
var checksums = maphash.MakeSeed()

// forgetful is content of which nothing is kept but a checksum of each chunk, so that more can be uploaded than the machine
// has room for.
type forgetful struct {
	size int64
	mu   sync.Mutex
	sums map[int]uint64 // by chunk. GUARDED_BY(mu)
}

// WriteAt takes whole chunks, as pieces of an upload are.
func (f *forgetful) WriteAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		i := megacrypto.ChunkIndex(off + int64(done))
		start, end := megacrypto.ChunkBounds(i, f.size)
		if start != off+int64(done) || end-start > int64(len(p)-done) {
			return done, io.ErrShortWrite
		}
		sum := maphash.Bytes(checksums, p[done:done+int(end-start)])
		f.mu.Lock()
		f.sums[i] = sum
		f.mu.Unlock()
		done += int(end - start)
	}
	return len(p), nil
}

// ReadAt refuses.
func (f *forgetful) ReadAt([]byte, int64) (int, error) { return 0, errForgotten }

func (f *forgetful) remove() {}

// CheckForgotten tells whether an uploaded file whose content wasn't kept (WithoutContent) is plain: by its size, by a
// checksum of each chunk as it arrived, and by the MAC in its key. The error is ErrContent where it isn't.
func (a *Account) CheckForgotten(handle string, plain io.ReaderAt, size int64) error {
	p := a.pick(handle)
	f, is := p.blob.data.(*forgetful)
	if !is {
		return fmt.Errorf("megatest: content of node %s was kept", handle)
	}
	packed, err := a.nodeKey(p)
	if err != nil {
		return err
	}
	key, err := megacrypto.UnpackFileKey(packed)
	if err != nil {
		return err
	}
	if p.size != size {
		return fmt.Errorf("%w: %d bytes in place of %d", ErrContent, p.size, size)
	}
	macs, err := f.compare(megacrypto.NewCipher(key), plain)
	if err != nil || size == 0 {
		return err
	}
	if _, err := megacrypto.NewCipher(key).CheckMAC(size, macs, key.MAC); err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	return nil
}

// compare encrypts plain as it should have arrived, and gives its MACs.
func (f *forgetful) compare(c *megacrypto.Cipher, plain io.ReaderAt) (macs []megacrypto.ChunkMAC, err error) {
	buf := make([]byte, min(f.size, 1<<20))
	for i := range megacrypto.ChunkCount(f.size) {
		start, end := megacrypto.ChunkBounds(i, f.size)
		chunk := buf[:end-start]
		if n, err := plain.ReadAt(chunk, start); n < len(chunk) {
			return nil, err
		}
		macs = append(macs, c.ChunkMAC(chunk))
		c.XORKeyStreamAt(chunk, chunk, start)
		f.mu.Lock()
		arrived := f.sums[i]
		f.mu.Unlock()
		if arrived != maphash.Bytes(checksums, chunk) {
			return nil, fmt.Errorf("%w: chunk %d arrived differently", ErrContent, i)
		}
	}
	return macs, nil
}
