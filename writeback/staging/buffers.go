package staging

import (
	"errors"
	"io"
	"math/bits"
	"sync"
)

// buffer is working memory: sealed bytes on their way to or from the disk.
type buffer struct {
	b     []byte
	nonce [12]byte
}

const (
	smallestBuffer = 13 // log2
	bufferClasses  = 9  // up to 2 MiB
)

var buffers [bufferClasses]sync.Pool

// getBuffer gives a buffer of n bytes of any content.
func getBuffer(n int) *buffer {
	class := max(bits.Len(uint(n-1)), smallestBuffer) - smallestBuffer
	if class >= bufferClasses {
		return &buffer{b: make([]byte, n)}
	}
	if v, ok := buffers[class].Get().(*buffer); ok {
		v.b = v.b[:n]
		return v
	}
	return &buffer{b: make([]byte, n, 1<<(class+smallestBuffer))}
}

// putBuffer gives it back.
func putBuffer(v *buffer) {
	class := bits.Len(uint(cap(v.b)-1)) - smallestBuffer
	if class >= 0 && class < bufferClasses && cap(v.b) == 1<<(class+smallestBuffer) {
		buffers[class].Put(v)
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
