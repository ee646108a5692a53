package fs

import (
	"fmt"
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// fakeKernel writes down what it is told, and can be made to wait as the real one does.
type fakeKernel struct {
	mu      sync.Mutex
	told    []string
	unknown map[uint64]bool
	hold    map[uint64]chan struct{} // notifies of this node wait until it is closed
	held    chan uint64              // which node a notify waits for
	stream  chan string              // what is told, once more, for who waits for it; nil: nobody does
}

func (k *fakeKernel) InodeNotify(node uint64, off, length int64) fuse.Status {
	return k.tell(node, fmt.Sprintf("inode %d %d %d", node, off, length))
}

func (k *fakeKernel) EntryNotify(parent uint64, name string) fuse.Status {
	return k.tell(parent, fmt.Sprintf("entry %d %s", parent, name))
}

func (k *fakeKernel) tell(node uint64, what string) fuse.Status {
	k.mu.Lock()
	k.told = append(k.told, what)
	hold, unknown, stream := k.hold[node], k.unknown[node], k.stream
	k.mu.Unlock()
	if stream != nil {
		stream <- what
	}
	if hold != nil {
		k.held <- node
		<-hold
	}
	if unknown {
		return fuse.ENOENT
	}
	return fuse.OK
}

func (k *fakeKernel) take() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.told
	k.told = nil
	return told
}

const self = "this mount"

func newTestNotifier(t *testing.T) (*notifier, *fakeKernel, *[]tree.Ino) {
	k := &fakeKernel{unknown: map[uint64]bool{}, hold: map[uint64]chan struct{}{}, held: make(chan uint64)}
	f := newFake(t)
	f.rows[77] = &tree.Inode{Ino: 77, Parent: 33, Name: "seven"}
	forgot := &[]tree.Ino{}
	b := &bridge{root: tree.DriveIno}
	b.ready.Store(true)
	n := newNotifier(f, b.nodeID, b.ready.Load, func(ino tree.Ino) { *forgot = append(*forgot, ino) })
	n.start(k)
	return n, k, forgot
}

func TestNotify(t *testing.T) {
	for name, c := range map[string]struct {
		changes []tree.Change
		unknown []uint64
		open    tree.Ino
		want    []string
		forgot  []tree.Ino
	}{
		"entries, then the folder": {
			changes: []tree.Change{{Dir: 33, Name: "a", Ino: 70}, {Dir: 33, Name: "b", Ino: 71}},
			want:    []string{"entry 33 a", "entry 33 b", "inode 33 0 0"},
		},
		"the mounted folder is 1": {
			changes: []tree.Change{{Dir: tree.DriveIno, Name: "a", Ino: 70}},
			want:    []string{"entry 1 a", "inode 1 0 0"},
		},
		"our own changes are known": {
			changes: []tree.Change{{Dir: 33, Name: "a", Ino: 70, Origin: self}, {Ino: 71, Content: true, Attr: true, Origin: self}},
		},
		"another mount's are not": {
			changes: []tree.Change{{Ino: 71, Attr: true, Origin: "another mount"}},
			want:    []string{"inode 71 -1 0"},
		},
		"content of a closed file": {
			changes: []tree.Change{{Ino: 71, Content: true, Attr: true}},
			want:    []string{"inode 71 0 0"},
		},
		"never content of an open file": {
			changes: []tree.Change{{Ino: 71, Content: true}},
			open:    71,
			want:    []string{"inode 71 -1 0"},
		},
		"attributes that a lookup may be carrying": {
			changes: []tree.Change{{Ino: 77, Attr: true}},
			unknown: []uint64{77},
			want:    []string{"inode 77 -1 0", "entry 33 seven"},
		},
		"a removed inode that the kernel knows": {
			changes: []tree.Change{{Dir: 33, Name: "a", Ino: 70, Removed: true, Origin: self}},
			want:    []string{"inode 70 -1 0"},
		},
		"a removed inode that it doesn't": {
			changes: []tree.Change{{Ino: 70, Removed: true, Origin: self}},
			unknown: []uint64{70},
			want:    []string{"inode 70 -1 0"},
			forgot:  []tree.Ino{70},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, k, forgot := newTestNotifier(t)
			for _, node := range c.unknown {
				k.unknown[node] = true
			}
			if c.open != 0 {
				n.opened(c.open)
			}
			n.changed(self, c.changes)
			require.NoError(t, n.settled(t.Context()))
			require.Equal(t, c.want, k.take())
			require.ElementsMatch(t, c.forgot, *forgot)
			n.stop()
		})
	}
}

// While the first tree is still coming, the kernel keeps no names: a million need not be told.
func TestNamesAreNotToldBeforeTheFirstTreeIsThere(t *testing.T) {
	n, k, _ := newTestNotifier(t)
	defer n.stop()
	ready := false
	n.ready = func() bool { return ready }
	change := []tree.Change{{Dir: 33, Name: "a", Ino: 70}, {Ino: 71, Attr: true}}
	n.changed(self, change)
	require.NoError(t, n.settled(t.Context()))
	require.Equal(t, []string{"inode 71 -1 0"}, k.take())
	ready = true
	n.changed(self, change[:1])
	require.NoError(t, n.settled(t.Context()))
	require.Equal(t, []string{"entry 33 a", "inode 33 0 0"}, k.take())
}

func TestPagesOfAnOpenFileGoAfterItsLastClose(t *testing.T) {
	n, k, _ := newTestNotifier(t)
	defer n.stop()
	n.opened(71)
	n.opened(71)
	require.False(t, n.isStale(71))
	n.changed(self, []tree.Change{{Ino: 71, Content: true}})
	require.NoError(t, n.settled(t.Context()))
	require.True(t, n.isStale(71), "who opens it now must not get the old pages")
	n.closed(71)
	require.NoError(t, n.settled(t.Context()))
	require.Equal(t, []string{"inode 71 -1 0"}, k.take())
	n.closed(71)
	require.NoError(t, n.settled(t.Context()))
	require.Equal(t, []string{"inode 71 0 0"}, k.take())
	require.False(t, n.isStale(71))
}

// A notify that waits in the kernel keeps nobody else waiting, and what comes meanwhile for the same inode follows it.
func TestANotifyThatWaitsStopsNoOther(t *testing.T) {
	n, k, _ := newTestNotifier(t)
	defer n.stop()
	release := make(chan struct{})
	k.hold[71] = release
	n.changed(self, []tree.Change{{Ino: 71, Content: true}})
	require.EqualValues(t, 71, <-k.held)
	k.take()
	k.mu.Lock()
	delete(k.hold, 71)
	k.stream = make(chan string, 10)
	k.mu.Unlock()

	n.changed(self, []tree.Change{{Ino: 71, Content: true}, {Dir: 33, Name: "a", Ino: 70}})
	require.Equal(t, "entry 33 a", <-k.stream)
	require.Equal(t, "inode 33 0 0", <-k.stream)
	k.take()
	close(release)
	require.NoError(t, n.settled(t.Context()))
	require.Equal(t, []string{"inode 71 0 0"}, k.take())
}

func TestThousandsOfChangesNeedFewWorkers(t *testing.T) {
	n, k, _ := newTestNotifier(t)
	defer n.stop()
	const many = 5000
	for i := range tree.Ino(many) {
		n.changed(self, []tree.Change{{Ino: 100 + i, Attr: true}})
	}
	n.mu.Lock()
	busy := len(n.busy)
	n.mu.Unlock()
	require.LessOrEqual(t, busy, notifyWorkers)
	require.NoError(t, n.settled(t.Context()))
	require.Len(t, k.take(), many)
}

func TestNothingIsToldAfterTheEnd(t *testing.T) {
	n, k, _ := newTestNotifier(t)
	n.stop()
	n.changed(self, []tree.Change{{Ino: 71, Attr: true}})
	require.NoError(t, n.settled(t.Context()))
	require.Empty(t, k.take())
}
