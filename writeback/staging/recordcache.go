package staging

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recordKey names a record. Segment numbers don't come back, so neither do keys.
type recordKey struct {
	seg uint64
	pos int64
}

// recordCache keeps decrypted records that were read in part, for the parts
// that will be asked for next. It is bounded in bytes, and a record's bytes
// never change.
type recordCache struct {
	limit int

	mu    sync.Mutex
	lru   *simplelru.LRU[recordKey, []byte] // GUARDED_BY(mu)
	bytes int                               // GUARDED_BY(mu); of all in lru
}

// newRecordCache makes a cache of limit bytes; one without room keeps nothing.
func newRecordCache(limit int) *recordCache {
	c := &recordCache{limit: limit}
	// The count never binds before the bytes do: no record is empty.
	lru, err := simplelru.NewLRU(max(limit, 1), func(_ recordKey, plain []byte) { c.bytes -= cap(plain) })
	if err != nil {
		panic(err) // only for a size of 0 or less
	}
	c.lru = lru
	return c
}

// get gives a record's plaintext, which must not be changed.
func (c *recordCache) get(k recordKey) ([]byte, bool) {
	if c.limit <= 0 {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(k)
}

// add keeps a record's plaintext, which must not change any more.
func (c *recordCache) add(k recordKey, plain []byte) {
	if cap(plain) > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lru.Contains(k) {
		return
	}
	c.lru.Add(k, plain)
	c.bytes += cap(plain)
	for c.bytes > c.limit {
		c.lru.RemoveOldest()
	}
}
