package megacrypto

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrHashcash means that an X-Hashcash header is malformed, or that its puzzle has no solution.
var ErrHashcash = errors.New("malformed hashcash challenge")

const (
	hashcashRepeat = 262144 // times the token stands in the message
	hashcashBatch  = 2048   // tokens hashed between two looks at the context; divides the above
	hashcashToken  = 48     // bytes of a token
)

// HashcashChallenge is the puzzle that MEGA sets a client that it wants to slow down, by status 402
// and the header X-Hashcash (PROTOCOL 1.7): find a nonce so that the SHA-256 of it and 12 MiB of the
// repeated token is small.
type HashcashChallenge struct {
	Easiness  int   // 0 to 255; higher is easier
	Timestamp int64 // Unix seconds, the server's
	Token     string
}

// ParseHashcash reads the header's value, `1:easiness:timestamp:token`. The error is ErrHashcash.
func ParseHashcash(header string) (HashcashChallenge, error) {
	var h HashcashChallenge
	parts := strings.Split(strings.TrimSpace(header), ":")
	if len(parts) != 4 || parts[0] != "1" {
		return h, fmt.Errorf("%w: not version 1 with four parts", ErrHashcash)
	}
	easiness, err := strconv.ParseUint(parts[1], 10, 8)
	if err != nil {
		return h, fmt.Errorf("%w: easiness", ErrHashcash)
	}
	timestamp, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return h, fmt.Errorf("%w: timestamp", ErrHashcash)
	}
	token, err := DecodeBase64(parts[3])
	if err != nil || len(token) != hashcashToken || len(parts[3]) != 64 {
		return h, fmt.Errorf("%w: token", ErrHashcash)
	}
	return HashcashChallenge{Easiness: int(easiness), Timestamp: timestamp, Token: parts[3]}, nil
}

// String gives the challenge as a header value, as a server sends it.
func (h HashcashChallenge) String() string {
	return fmt.Sprintf("1:%d:%d:%s", h.Easiness, h.Timestamp, h.Token)
}

// Solve searches with all processors until a nonce fits or ctx ends, and gives the value of the
// X-Hashcash header of the answer.
func (h HashcashChallenge) Solve(ctx context.Context) (string, error) {
	batch, err := h.batch()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next  atomic.Uint64
		once  sync.Once
		found [4]byte
		done  bool
		group sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n > 0xffffffff {
					return
				}
				var nonce [4]byte
				binary.BigEndian.PutUint32(nonce[:], uint32(n))
				if h.try(ctx, nonce, batch) {
					once.Do(func() { found, done = nonce, true })
					cancel()
				}
			}
		})
	}
	group.Wait()
	if done {
		return "1:" + h.Token + ":" + EncodeBase64(found[:]), nil
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("solving a hashcash challenge: %w", err)
	}
	return "", fmt.Errorf("%w: no nonce fits", ErrHashcash)
}

// Verify tells whether answer, the value of an X-Hashcash header, solves the challenge.
func (h HashcashChallenge) Verify(answer string) bool {
	parts := strings.Split(strings.TrimSpace(answer), ":")
	if len(parts) != 3 || parts[0] != "1" || parts[1] != h.Token {
		return false
	}
	nonce, err := DecodeBase64(parts[2])
	if err != nil || len(nonce) != 4 {
		return false
	}
	batch, err := h.batch()
	return err == nil && h.try(context.Background(), [4]byte(nonce), batch)
}

// batch is the part of the message that is hashed again and again, shared by all processors.
func (h HashcashChallenge) batch() ([]byte, error) {
	token, err := DecodeBase64(h.Token)
	if err != nil || len(token) != hashcashToken {
		return nil, fmt.Errorf("%w: token", ErrHashcash)
	}
	batch := make([]byte, 0, hashcashBatch*hashcashToken)
	for range hashcashBatch {
		batch = append(batch, token...)
	}
	return batch, nil
}

func (h HashcashChallenge) try(ctx context.Context, nonce [4]byte, batch []byte) bool {
	hash := sha256.New()
	hash.Write(nonce[:])
	for range hashcashRepeat / hashcashBatch {
		if ctx.Err() != nil {
			return false
		}
		hash.Write(batch)
	}
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint32(hash.Sum(sum[:0])) <= h.threshold()
}

func (h HashcashChallenge) threshold() uint32 {
	e := uint32(h.Easiness)
	return ((e&63)<<1 + 1) << ((e>>6)*7 + 3)
}
