package tree

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// diskHouse opens a tree in a folder.
func diskHouse(t *testing.T, dir string) (*house, error) {
	h := &house{t: t, open: map[Ino]bool{}}
	o := h.options()
	onDisk(dir)(&o)
	var err error
	h.Tree, err = Open(o)
	return h, err
}

// The process dies between the moment when the database's last log went and the one when a new one is made (opened anew
// after a first fetch) or its end is noted (closed): nothing is missing then, and it isn't said to be damaged.
func TestDiesWithoutALog(t *testing.T) {
	dir, dead := t.TempDir(), t.TempDir()
	h, err := diskHouse(t, dir)
	require.NoError(t, err)
	h.fetch()
	h.create(DriveIno, "kept", File)
	h.attending.Wait() // it looks at the tables
	require.NoError(t, h.closeDatabase())
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	require.NoError(t, err)
	require.Len(t, logs, 1, "what was made ahead")
	require.NoError(t, os.Remove(logs[0]))
	require.NoError(t, os.CopyFS(dead, os.DirFS(dir)))
	require.NoError(t, h.Close())
	for _, dir := range []string{dead, dir} {
		h, err := diskHouse(t, dir)
		require.NoError(t, err)
		require.True(t, namesIn(t, h.Tree)["kept"])
		require.Empty(t, h.Recovered())
		require.NoError(t, h.Close())
	}
}

// An opening that is refused after the database was read, which ends its logs, is refused for the same reason again.
func TestRefusedAfterACrash(t *testing.T) {
	dir, dead := t.TempDir(), t.TempDir()
	h, err := diskHouse(t, dir)
	require.NoError(t, err)
	require.NoError(t, h.Update(context.Background(), func(tx *Tx) error {
		return tx.setRaw(textKey(rowMeta, metaFormat), bigEndian(format+1))
	}))
	require.NoError(t, os.CopyFS(dead, os.DirFS(dir)))
	require.NoError(t, h.Close())
	for range 2 {
		_, err = diskHouse(t, dead)
		var newer *NewerError
		require.ErrorAs(t, err, &newer)
	}
}

// openAndClose fetches a tree for the first time and closes it, forever, in the folder "db" of one. Whenever that ends,
// what is in there is a whole database or none.
func openAndClose(t *testing.T, dir string) {
	db, old := filepath.Join(dir, "db"), filepath.Join(dir, "old")
	for {
		h := newHouse(t, onDisk(db))
		h.create(DriveIno, fmt.Sprint(time.Now().UnixNano()), File)
		require.NoError(t, h.Close())
		fmt.Println("closed")
		require.NoError(t, os.Rename(db, old))
		require.NoError(t, os.RemoveAll(old))
	}
}

// Killed when there is no log.
func TestKilledWithoutALog(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		db := filepath.Join(dir, "db")
		cmd, out := child(t, "open and close", dir)
		waitLine(t, out, "closed")
		for begun := time.Now(); !withoutLog(db); {
			require.Less(t, time.Since(begun), time.Minute, "it always has a log")
		}
		require.NoError(t, cmd.Process.Kill())
		for out.Scan() {
		}
		_ = cmd.Wait()
		h, err := diskHouse(t, db)
		require.NoError(t, err)
		require.NoError(t, h.CheckInvariants())
		require.NoError(t, h.Close())
	}
}

// withoutLog tells whether there is a database with tables, or one that was used, and no log with a length.
func withoutLog(dir string) bool {
	list, _ := os.ReadDir(dir)
	used := false
	for _, e := range list {
		switch info, err := e.Info(); {
		case err != nil:
			return false // it has just gone
		case strings.HasSuffix(e.Name(), ".mem") && info.Size() > 0:
			return false
		case e.Name() == runningName, e.Name() == closingName:
			used = true
		}
	}
	return used
}

// What is left of an attempt to make a table that the disk refused doesn't make the database look damaged after an end in good order.
func TestTablesThatTheDiskRefused(t *testing.T) {
	dir := t.TempDir()
	h, err := diskHouse(t, dir)
	require.NoError(t, err)
	h.fetch()
	h.create(DriveIno, "kept", File)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "000777.sst"), []byte("half of a table"), 0o600))
	require.NoError(t, h.Close())
	h, err = diskHouse(t, dir)
	require.NoError(t, err)
	require.True(t, namesIn(t, h.Tree)["kept"])
	require.NoError(t, h.Close())
}
