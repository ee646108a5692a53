package megatest

import (
	"encoding/binary"
	"strconv"
)

// feed is the log of action packets of one user (or of one folder link): what sc answers from.
// Sequence numbers count packets. All fields are GUARDED_BY(Server.mu).
type feed struct {
	base    uint64   // sequence number before the oldest packet kept
	packets [][]byte // compact JSON objects
	bytes   int
	tags    uint64        // last sequence tag (st) drawn
	changed chan struct{} // closed and replaced when a packet comes or a session ends
}

// maxFeedBytes bounds the log's size apart from the number of packets.
const maxFeedBytes = 256 << 20

func newFeed() *feed {
	b := randomBytes(4)
	return &feed{base: uint64(binary.BigEndian.Uint32(b)) << 20, changed: make(chan struct{})}
}

// seq is the sequence number of the newest packet.
func (f *feed) seq() uint64 { return f.base + uint64(len(f.packets)) }

// add appends a packet and wakes whoever waits. limit bounds how many packets are kept.
func (f *feed) add(packet []byte, limit int) {
	f.packets = append(f.packets, packet)
	f.bytes += len(packet)
	if len(f.packets) > 2*limit {
		f.drop(len(f.packets) - limit)
	}
	for f.bytes > maxFeedBytes && len(f.packets) > 1 {
		f.drop(len(f.packets) / 2)
	}
	f.wake()
}

// drop forgets the n oldest packets.
func (f *feed) drop(n int) {
	for _, p := range f.packets[:n] {
		f.bytes -= len(p)
	}
	f.packets = append([][]byte(nil), f.packets[n:]...)
	f.base += uint64(n)
}

// wake lets every waiting request return.
func (f *feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// tag draws the next sequence tag: comparable by length, then bytes (PROTOCOL 8.2).
func (f *feed) tag() string {
	f.tags++
	return strconv.FormatUint(f.tags, 36)
}

// after returns the packets since seq, at most max of them, and whether there are more.
// found is false when seq is older than the log, or was never given out.
func (f *feed) after(seq uint64, max int) (packets [][]byte, next uint64, more, found bool) {
	if seq < f.base || seq > f.seq() {
		return nil, 0, false, false
	}
	packets = f.packets[seq-f.base:]
	if len(packets) > max {
		packets, more = packets[:max], true
	}
	return packets, seq + uint64(len(packets)), more, true
}

// formatSN writes a sequence number as the wire has it.
func formatSN(seq uint64) string {
	var b [snBytes]byte
	binary.BigEndian.PutUint64(b[:], seq)
	return b64.EncodeToString(b[:])
}

// parseSN reads a sequence number.
func parseSN(s string) (uint64, bool) {
	b, err := b64.DecodeString(s)
	if err != nil || len(b) != snBytes {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}
