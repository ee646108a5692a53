package tree

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onDisk puts the tree into a folder.
func onDisk(dir string) func(*Options) {
	return func(o *Options) { o.InMemory, o.Dir, o.Key = false, dir, [32]byte{1, 2, 3} }
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, onDisk(dir))
	h.apply(folder("AAAAAAAA", rootH, "Secret folder"), file("BBBBBBBB", "AAAAAAAA", "secret.txt"))
	b := h.at("/Secret folder/secret.txt").Ino
	mine := h.create(DriveIno, "mine", File)
	gone := h.create(DriveIno, "gone", File)
	h.unlink(gone)
	h.update(func(tx *Tx) error {
		require.NoError(t, tx.ApplyRemove("BBBBBBBB", true))
		require.NoError(t, tx.SetMeta("k", []byte("v")))
		require.NoError(t, tx.AddShareKeys(map[megaclient.Handle]megaclient.ShareKey{"AAAAAAAA": {Key: megacrypto.Key{7}}}))
		require.NoError(t, tx.Purge(gone))
		return tx.SetSN("sn-1")
	})
	require.NoError(t, h.Sync())
	require.NoError(t, h.Close())
	require.NoError(t, h.Close(), "twice")
	_, err := h.Get(1 << 30)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, h.Update(context.Background(), nil), ErrClosed)

	o := h.options()
	onDisk(dir)(&o)
	h.Tree, err = Open(o)
	require.NoError(t, err)
	h.check()
	require.True(t, h.Fetched())
	require.Equal(t, "sn-1", h.SN())
	require.Equal(t, map[megaclient.Handle]megaclient.ShareKey{"AAAAAAAA": {Key: megacrypto.Key{7}}}, h.ShareKeys())
	require.Equal(t, []Ino{mine}, h.Pending())
	require.Equal(t, b, h.at("/Secret folder/secret.txt").Ino)
	require.NoError(t, h.View(func(tx *Tx) error {
		v, err := tx.Meta("k")
		require.Equal(t, "v", string(v))
		return err
	}))
	require.Greater(t, h.create(DriveIno, "next", File), gone, "a number is never used again")
	h.update(func(tx *Tx) error { return tx.DropHalves() })
	h.absent("/Secret folder/secret.txt")
	require.NoError(t, h.Close())

	// Nothing is readable at rest.
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all, err := os.ReadFile(p)
		require.NotContains(t, strings.ToLower(string(all)), "secret", p)
		return err
	}))
}

func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Key: [32]byte{1}}
	tr, err := Open(o)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	o.Key[0] = 2
	_, err = Open(o)
	require.ErrorIs(t, err, ErrWrongKey)
	o.Key[0] = 1
	tr, err = Open(o)
	require.NoError(t, err, "the lock is free again")
	require.NoError(t, tr.Close())
}

func TestNewerFormat(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	tr, err := Open(o)
	require.NoError(t, err)
	require.NoError(t, tr.Update(context.Background(), func(tx *Tx) error {
		return tx.setRaw(textKey(rowMeta, metaFormat), bigEndian(format+1))
	}))
	require.NoError(t, tr.Close())
	_, err = Open(o)
	var newer *NewerError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, NewerError{Have: format + 1, Known: format}, *newer)
	require.Contains(t, err.Error(), "format 2")
}

// child runs this test binary again, in the part that the variable names.
func child(t *testing.T, part, dir string) (*exec.Cmd, *bufio.Scanner) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), "TREE_CHILD="+part, "TREE_DIR="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

// waitLine reads the child's output until a line begins with this.
func waitLine(t *testing.T, s *bufio.Scanner, prefix string) string {
	for s.Scan() {
		if rest, ok := strings.CutPrefix(s.Text(), prefix); ok {
			return rest
		}
	}
	require.Fail(t, "the child ended early")
	return ""
}

// TestChild is what child processes do.
func TestChild(t *testing.T) {
	dir := os.Getenv("TREE_DIR")
	switch os.Getenv("TREE_CHILD") {
	case "hold":
		h := newHouse(t, onDisk(dir))
		fmt.Println("open")
		_ = h
		select {}
	case "write":
		writeUntilKilled(t, dir)
	case "open and close":
		openAndClose(t, dir)
	default:
		t.Skip("a part of other tests")
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	cmd, out := child(t, "hold", dir)
	waitLine(t, out, "open")
	o := Options{Dir: dir, Key: [32]byte{1, 2, 3}}
	_, err := Open(o)
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, LockedError{Dir: dir, PID: cmd.Process.Pid}, *locked)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	tr, err := Open(o)
	require.NoError(t, err, "the lock died with its process")
	require.NoError(t, tr.Close())
}

// A program that is started while the tree is closed has the lock's file too, until its exec. It doesn't keep the lock.
func TestLockIsNotKeptByAProgramThatStarts(t *testing.T) {
	o := Options{Dir: t.TempDir(), Key: [32]byte{1, 2, 3}}
	tr, err := Open(o)
	require.NoError(t, err)
	inherited, err := unix.Dup(int(tr.lock.Fd()))
	require.NoError(t, err)
	defer unix.Close(inherited)
	require.NoError(t, tr.Close())
	tr, err = Open(o)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
}

// writeUntilKilled makes folders with something pending in them, fills them and removes them, forever.
// It says which file it made once that is committed.
func writeUntilKilled(t *testing.T, dir string) {
	h := newHouse(t, onDisk(dir))
	for i := 0; ; i++ {
		top := handle(i * 1000)
		nodes := []*megaclient.Node{folder(top, rootH, "d"+strconv.Itoa(i))}
		for j := range 400 {
			nodes = append(nodes, file(handle(i*1000+j+1), top, "f"+strconv.Itoa(j)))
		}
		require.NoError(t, h.Update(context.Background(), func(tx *Tx) error {
			for _, n := range nodes {
				if err := tx.ApplyNode(n, ""); err != nil {
					return err
				}
			}
			return nil
		}))
		d := h.at("/d" + strconv.Itoa(i)).Ino
		in := Inode{Kind: File, Parent: d, Name: "mine", Pending: PendingContent}
		require.NoError(t, h.Update(context.Background(), func(tx *Tx) error { return tx.Create(&in) }))
		fmt.Printf("made %d %d\n", in.Ino, i)
		require.NoError(t, h.Update(context.Background(), func(tx *Tx) error { return tx.ApplyRemove(top, false) }))
	}
}

// Killed in the middle of it: what was committed is there, and the sweep goes on.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		cmd, out := child(t, "write", dir)
		var line string
		for range 3 + 2*round {
			line = waitLine(t, out, "made ")
		}
		require.NoError(t, cmd.Process.Kill())
		for out.Scan() { // what it said before the signal came
			if rest, ok := strings.CutPrefix(out.Text(), "made "); ok && strings.Contains(rest, " ") {
				line = rest
			}
		}
		_ = cmd.Wait()
		var ino Ino
		var i int
		_, err := fmt.Sscan(line, &ino, &i)
		require.NoError(t, err)

		h := &house{t: t, open: map[Ino]bool{}}
		o := h.options()
		onDisk(dir)(&o)
		h.Tree, err = Open(o)
		require.NoError(t, err)
		require.NoError(t, h.CheckInvariants(), "as it was left")
		require.NoError(t, h.Settled(context.Background()))
		h.check()
		in, err := h.Get(ino)
		require.NoError(t, err)
		require.Equal(t, PendingCreate|PendingContent, in.Pending)
		path, err := h.Path(ino)
		require.NoError(t, err)
		require.Equal(t, "/d"+strconv.Itoa(i)+"/mine", path)
		require.NoError(t, h.Close())
		require.NoError(t, wipeDir(dir))
	}
}

// wipeDir begins the next round with nothing, since the child names its nodes anew.
func wipeDir(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}

// Readers beside a writer: what has been seen new is never seen old again, and what Update returned from
// is seen by all.
func TestNeverStale(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.CacheInodes = 8 })
	const files, rounds = 16, 150
	var inos []Ino
	for i := range files {
		inos = append(inos, h.create(DriveIno, "f"+strconv.Itoa(i), File))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var committed [files]struct {
		sync.Mutex
		size int64
	}
	for r := range 3 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			var seen [files]int64
			for n := r; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				i := n % files
				committed[i].Lock()
				atLeast := max(committed[i].size, seen[i])
				committed[i].Unlock()
				in, err := h.Get(inos[i])
				if err == nil && n%2 == 0 {
					in, err = h.Lookup(DriveIno, in.Name)
					if err != nil { // renamed in between
						continue
					}
				}
				if err != nil || in.Ino != inos[i] || in.Size < atLeast {
					t.Errorf("inode %d: size %d after %d (%v)", inos[i], in.Size, atLeast, err)
					return
				}
				seen[i] = in.Size
			}
		}()
	}
	for round := int64(1); round <= rounds; round++ {
		for i, ino := range inos {
			require.NoError(t, h.Update(context.Background(), func(tx *Tx) error {
				if round%5 == 0 {
					if err := tx.Move(ino, DriveIno, fmt.Sprintf("f%d-%d", i, round)); err != nil {
						return err
					}
				}
				return pend(tx, ino, 0, func(in *Inode) { in.Size = round })
			}))
			committed[i].Lock()
			committed[i].size = round
			committed[i].Unlock()
			in, err := h.Get(ino)
			require.NoError(t, err)
			require.Equal(t, round, in.Size)
		}
	}
	close(stop)
	readers.Wait()
	h.check()
}

func TestNegativeLookupsAreNotStale(t *testing.T) {
	h := newHouse(t)
	for range 3 {
		h.absent("/x")
	}
	x := h.create(DriveIno, "x", Dir)
	require.Equal(t, x, h.at("/x").Ino)
	_, err := h.Lookup(x, "y")
	require.ErrorIs(t, err, ErrNotFound)
	h.unlink(x)
	h.absent("/x")
	h.update(func(tx *Tx) error { return tx.Purge(x) })
	_, err = h.Lookup(x, "y")
	require.ErrorIs(t, err, ErrStale)
	f := h.create(DriveIno, "f", File)
	_, err = h.Lookup(f, "y")
	require.ErrorIs(t, err, ErrNotDir)
	_, err = h.ReadDir(f, "", 0)
	require.ErrorIs(t, err, ErrNotDir)
	_, err = h.ReadDir(999, "", 0)
	require.ErrorIs(t, err, ErrStale)
	_, err = h.Lookup(DriveIno, strings.Repeat("x", 256))
	require.ErrorIs(t, err, ErrNameTooLong)
}

// The journal's own rows are of the same transaction.
func TestJournalRows(t *testing.T) {
	h := newHouse(t)
	failed := h.Update(context.Background(), func(tx *Tx) error {
		require.NoError(t, tx.Badger().Set([]byte("wkey"), []byte("v")))
		require.NoError(t, tx.Create(&Inode{Kind: File, Parent: DriveIno, Name: "x"}))
		return ErrInvalid
	})
	require.ErrorIs(t, failed, ErrInvalid)
	h.absent("/x")
	require.NoError(t, h.View(func(tx *Tx) error {
		_, err := tx.Badger().Get([]byte("wkey"))
		require.Error(t, err)
		return nil
	}))
	big := bytes.Repeat([]byte("x"), 1<<19)
	err := h.Update(context.Background(), func(tx *Tx) error {
		for i := range 10 {
			if err := tx.SetMeta(strconv.Itoa(i), big); err != nil {
				return err
			}
		}
		return nil
	})
	require.ErrorIs(t, err, ErrTooBig)
	h.check()
}
