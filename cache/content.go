package cache

import (
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"

	"github.com/zeebo/blake3"
)

// id names a content: the first half of a keyed BLAKE3 of its AES key and nonce. Without the cache's
// key it tells nothing.
type id [16]byte

func (i id) String() string { return hex.EncodeToString(i[:]) }

// content is what is known of one file version's bytes while somebody uses it, and for a while after.
type content struct {
	// Dependencies.
	c      *Cache
	entry  *entry // its bytes on disk; nil: without disk level. Set by load
	cipher *megacrypto.Cipher

	// Constant data.
	id     id
	size   int64
	chunks int
	born   int64     // a number of its own: another after it was forgotten
	load   sync.Once // fills in what the disk knows; done before anybody sees the content

	saving sync.Mutex // held while the state is written to disk. Before entry.io and Cache.mu

	// Mutable state, GUARDED_BY(Cache.mu).
	mac     [8]byte // of the key; zero while an upload has not come to its end
	file    File    // as it was asked for last
	refs    int     // readers, fetches and MAC jobs
	readers int     // of these, open readers
	spills  int     // on their way to disk
	units   map[int64]*unit
	small   *smallFetch // under way

	// Verification: verify.go.
	macs        []megacrypto.ChunkMAC
	known       bitmap          // chunks whose MAC was computed
	fresh       bitmap          // chunks with bytes that came after their MAC was last computed
	jobs        map[int]*macJob // MACs that are not whole yet
	verified    bool            // all MACs together fitted the key's
	checking    bool            // that is being found out
	suspect     bool            // they did not fit: everything is fetched another way
	wrongMACs   [][8]byte       // MACs of what came since then, in this run
	wrongAt     time.Time       // when that was found out; zero: in an earlier run
	wrong       int64           // when it was last, counted by Stats.Mismatches; 0: never in this run
	quarantined bool            // the same wrong bytes came twice, or many different ones
	accepted    bool            // its owner wants to read it all the same
	seen        seen            // what came of it in this run
	news        chan struct{}   // closed when something of this changes; nil: nobody waits
}

// hold is what everybody does first: it finds or makes the content of a file and keeps it from
// being forgotten until dropped with release. It reads the content's index from disk, without c.mu.
func (c *Cache) hold(f File) *content {
	co := c.holdID(f, c.identity(f, false))
	if co.adopt(f) {
		return co
	}
	// Another size or MAC under the same key and nonce: some client's mistake, or an attempt to slip
	// wrong bytes under a file of ours. The two must never share bytes.
	c.release(co)
	co = c.holdID(f, c.identity(f, true))
	co.adopt(f)
	return co
}

func (c *Cache) holdID(f File, key id) *content {
	c.mu.Lock()
	co := c.contents[key]
	if co == nil {
		co = newContent(c, key, f)
		c.contents[key] = co
	}
	co.refs++
	c.idle.Remove(key)
	c.mu.Unlock()
	co.load.Do(func() { co.loadEntry(f) })
	return co
}

// newContent is called under c.mu.
func newContent(c *Cache, key id, f File) *content {
	c.born++
	return &content{
		c: c, id: key, born: c.born, size: f.Size, mac: f.Key.MAC, wrong: c.wasWrong[key],
		cipher: megacrypto.NewCipher(f.Key),
		chunks: megacrypto.ChunkCount(f.Size),
		units:  map[int64]*unit{},
		jobs:   map[int]*macJob{},
	}
}

// loadEntry brings in what the disk, or an earlier verdict, knows.
func (co *content) loadEntry(f File) {
	co.macs = make([]megacrypto.ChunkMAC, co.chunks)
	co.known, co.fresh = newBitmap(int64(co.chunks)), newBitmap(int64(co.chunks))
	if co.c.store == nil {
		return
	}
	e, saved := co.c.store.open(co.id, co.size, co.c.macTag(f.Key.MAC))
	if e == nil {
		return
	}
	co.c.mu.Lock()
	defer co.c.mu.Unlock()
	co.entry = e
	for i, m := range saved.macs {
		if m != (megacrypto.ChunkMAC{}) {
			co.macs[i] = m
			co.known.set(int64(i))
		}
	}
	co.verified = saved.flags&flagVerified != 0
	co.suspect = saved.flags&flagSuspect != 0
	co.quarantined = saved.flags&flagQuarantined != 0
	co.accepted = saved.flags&flagAccepted != 0
	co.c.checkMetaLocked(co) // the process that found the last MAC may have ended before it could compare them
}

// adopt tells whether the file's size and MAC are the content's; a MAC that was not known is learned.
func (co *content) adopt(f File) bool {
	co.c.mu.Lock()
	defer co.c.mu.Unlock()
	unknown := [8]byte{}
	if co.size != f.Size || co.mac != unknown && f.Key.MAC != unknown && co.mac != f.Key.MAC {
		return false
	}
	co.file = f
	if co.mac == unknown && f.Key.MAC != unknown {
		co.mac = f.Key.MAC
		co.c.checkMetaLocked(co)
	}
	return true
}

// release undoes a hold. The least recently used contents that nobody holds are forgotten: their units
// in memory go, what is on disk stays.
func (c *Cache) release(co *content) {
	c.mu.Lock()
	retired := c.releaseLocked(co)
	c.mu.Unlock()
	retired.retire()
}

// releaseLocked is release; the caller retires what it returns once c.mu is free.
func (c *Cache) releaseLocked(co *content) *content {
	co.refs--
	if co.refs > 0 || c.contents[co.id] != co || co.quarantined && co.entry == nil {
		return nil
	}
	c.idle.Add(co.id, co)
	if c.idle.Len() <= c.idleMost && !c.closed {
		return nil
	}
	_, old, _ := c.idle.RemoveOldest()
	delete(c.contents, old.id)
	for _, u := range old.units {
		c.mem.discard(u)
	}
	old.dropPartsLocked()
	return old
}

// retire closes the disk side of a content that was forgotten.
func (co *content) retire() {
	if co != nil && co.entry != nil {
		co.c.store.close(co.entry)
	}
}

// readableLocked gives the reason why nothing of the content may be read.
func (co *content) readableLocked() error {
	switch {
	case co.quarantined:
		return ErrQuarantined
	case co.c.closed:
		return ErrClosed
	}
	return nil
}

// haveLocked tells whether unit u is here, in memory or on disk.
func (co *content) haveLocked(u int64) bool {
	if m := co.units[u]; m != nil {
		return m.ready
	}
	return co.entry.has(u)
}

// identity gives a content's name; the narrow one takes in size and MAC as well.
func (c *Cache) identity(f File, narrow bool) (key id) {
	h := newHasher(c.idKey)
	_, _ = h.Write(f.Key.Key[:])
	_, _ = h.Write(f.Key.Nonce[:])
	if narrow {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(f.Size))
		_, _ = h.Write(size[:])
		_, _ = h.Write(f.Key.MAC[:])
	}
	copy(key[:], h.Sum(nil))
	return key
}

// macTag stands for a key's MAC on disk; zero for one that isn't known.
func (c *Cache) macTag(mac [8]byte) (tag [16]byte) {
	if mac == ([8]byte{}) {
		return tag
	}
	h := newHasher(c.macKey)
	_, _ = h.Write(mac[:])
	copy(tag[:], h.Sum(nil))
	return tag
}

func newHasher(key [32]byte) *blake3.Hasher {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	return h
}
