package tree

import (
	"context"
	"strings"
	"sync"
	"testing"

	"megadisk/integration/steady"
	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	steady.Rapid()
	goleak.VerifyTestMain(m, // what Badger leaves behind when it refuses a key
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"))
}

// What each operation answers, in one tree:
//
//	/d/e/f   /file   /gone (removed)   /local (made here)
func TestOperationsErrors(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("DDDDDDDD", rootH, "d"), folder("EEEEEEEE", "DDDDDDDD", "e"), file("FFFFFFFF", "EEEEEEEE", "f"), file("11111111", rootH, "file"), folder("22222222", rootH, "gone"))
	d, e, f, file1, gone := h.at("/d").Ino, h.at("/d/e").Ino, h.at("/d/e/f").Ino, h.at("/file").Ino, h.at("/gone").Ino
	local := h.create(DriveIno, "local", File)
	h.unlink(gone)
	create := func(parent Ino, name string, kind Kind) func(*Tx) error {
		return func(tx *Tx) error { return tx.Create(&Inode{Kind: kind, Parent: parent, Name: name}) }
	}
	move := func(ino, parent Ino, name string) func(*Tx) error {
		return func(tx *Tx) error { return tx.Move(ino, parent, name) }
	}
	put := func(ino Ino, fn func(*Inode)) func(*Tx) error {
		return func(tx *Tx) error {
			in, err := tx.Get(ino)
			require.NoError(t, err)
			fn(&in)
			return tx.Put(&in)
		}
	}
	for name, c := range map[string]struct {
		op   func(*Tx) error
		want error
	}{
		"create":                      {create(d, "new", File), nil},
		"create a taken name":         {create(DriveIno, "d", Dir), ErrExist},
		"create in a file":            {create(file1, "x", File), ErrNotDir},
		"create in a removed folder":  {create(gone, "x", File), ErrNotFound},
		"create in nothing":           {create(999, "x", File), ErrStale},
		"create with a slash":         {create(d, "a/b", File), ErrInvalid},
		"create nothing":              {create(d, "", File), ErrInvalid},
		"create a dot":                {create(d, "..", File), ErrInvalid},
		"create a long name":          {create(d, strings.Repeat("x", 256), File), ErrNameTooLong},
		"create of no kind":           {create(d, "x", 0), ErrInvalid},
		"create in the vault":         {create(VaultIno, "x", File), ErrReadOnly},
		"create among the shares":     {create(SharesIno, "x", File), ErrAccess},
		"create in the bin":           {create(BinIno, "x", File), nil},
		"move":                        {move(f, DriveIno, "g"), nil},
		"move to itself":              {move(f, e, "f"), nil},
		"move onto a name":            {move(f, DriveIno, "file"), ErrExist},
		"move into itself":            {move(d, e, "d"), ErrCircular},
		"move into a file":            {move(f, file1, "x"), ErrNotDir},
		"move a top folder":           {move(BinIno, d, "bin"), ErrShareRoot},
		"move nothing":                {move(999, d, "x"), ErrStale},
		"move what was removed":       {move(gone, d, "back"), nil},
		"move to the bin":             {move(d, BinIno, "d"), nil},
		"unlink":                      {func(tx *Tx) error { return tx.Unlink(f) }, nil},
		"unlink twice":                {func(tx *Tx) error { return tx.Unlink(gone) }, ErrNotFound},
		"unlink a top folder":         {func(tx *Tx) error { return tx.Unlink(DriveIno) }, ErrShareRoot},
		"purge what is there":         {func(tx *Tx) error { return tx.Purge(local) }, ErrInvalid},
		"purge what is in the cloud":  {func(tx *Tx) error { return tx.Purge(gone) }, ErrInvalid},
		"purge nothing":               {func(tx *Tx) error { return tx.Purge(999) }, ErrStale},
		"put another place":           {put(f, func(in *Inode) { in.Name = "x" }), ErrInvalid},
		"put another kind":            {put(f, func(in *Inode) { in.Kind = Dir }), ErrInvalid},
		"put another shadow":          {put(local, func(in *Inode) { in.Cloud = &Cloud{Handle: "no handle!"} }), ErrInvalid},
		"shadow without a handle":     {func(tx *Tx) error { return tx.SetCloud(local, &Cloud{}) }, ErrInvalid},
		"shadow of nothing":           {func(tx *Tx) error { return tx.SetCloud(999, nil) }, ErrStale},
		"look up in nothing":          {func(tx *Tx) error { _, err := tx.Lookup(999, "x"); return err }, ErrStale},
		"is a file an empty folder":   {func(tx *Tx) error { _, err := tx.IsEmptyDir(f); return err }, ErrNotDir},
		"the path of what is removed": {func(tx *Tx) error { _, err := tx.Path(gone); return err }, ErrNotFound},
		"a path to nowhere":           {func(tx *Tx) error { _, err := tx.Resolve("//nowhere"); return err }, ErrNotFound},
		"a path through a file":       {func(tx *Tx) error { _, err := tx.Resolve("/file/x"); return err }, ErrNotDir},
	} {
		rollback := context.Canceled
		err := h.Update(context.Background(), func(tx *Tx) error {
			if err := c.op(tx); err != nil {
				return err
			}
			return rollback // so that each begins with the same tree
		})
		if c.want == nil {
			c.want = rollback
		}
		require.ErrorIs(t, err, c.want, name)
		h.check()
	}
	require.ErrorIs(t, h.View(create(d, "x", File)), ErrInvalid, "a view can't write")
}

func TestCreateSetsTimesAndNumbers(t *testing.T) {
	h := newHouse(t)
	in := Inode{Kind: File, Parent: DriveIno, Name: "x", Mtime: 5, Mode: 0o600, HasMode: true}
	h.update(func(tx *Tx) error { return tx.Create(&in) })
	got := h.at("/x")
	require.Equal(t, in.Ino, got.Ino)
	require.Equal(t, int64(5), got.Mtime)
	require.Equal(t, h.opts.Now().UnixNano(), got.Ctime)
	require.Equal(t, PendingCreate, got.Pending)
	require.Equal(t, uint32(0o600), got.Mode)
	// A number given in a transaction that fails is given again; one that was committed is not.
	failed := Inode{Kind: File, Parent: DriveIno, Name: "y"}
	require.Error(t, h.Update(context.Background(), func(tx *Tx) error { return cmpErr(tx.Create(&failed)) }))
	h.unlink(in.Ino)
	h.update(func(tx *Tx) error { return tx.Purge(in.Ino) })
	require.Greater(t, h.create(DriveIno, "z", File), in.Ino)
}

func cmpErr(err error) error {
	if err != nil {
		return err
	}
	return context.Canceled
}

func TestAcknowledged(t *testing.T) {
	h := newHouse(t)
	f := h.create(DriveIno, "a‛e9b\xff", File)
	in := h.get(f)
	require.Equal(t, "a‛‛e9b‛ff", in.RawName())
	// The node as an answer has it.
	h.update(func(tx *Tx) error {
		return pend(tx, f, 0, func(in *Inode) {
			in.Pending = 0
			in.Cloud = &Cloud{Handle: "AAAAAAAA", Parent: rootH, Name: in.RawName(), Attrs: attrs(in.RawName(), 0), Key: nodeKey("AAAAAAAA", 32)}
		})
	})
	h.check()
	require.Equal(t, f, h.at("/a‛e9b\xff").Ino, "named as it was given")
	require.Equal(t, []Ino{}, append([]Ino{}, h.Pending()...))
	// A sent name that lost against another one meanwhile is settled when nothing is pending.
	g := h.create(DriveIno, "g", File)
	h.apply(created(file("BBBBBBBB", rootH, "g"), 5))
	h.update(func(tx *Tx) error {
		return pend(tx, g, 0, func(in *Inode) {
			in.Pending = 0
			in.Cloud = &Cloud{Handle: "CCCCCCCC", Parent: rootH, Created: 4, Name: "g", Attrs: attrs("g", 0), Key: nodeKey("CCCCCCCC", 32)}
		})
	})
	h.check()
	require.Equal(t, g, h.at("/g").Ino)
	require.Equal(t, "BBBBBBBB", string(h.at("/g (BBBBBBBB)").Cloud.Handle))
}

func TestReadDirInPages(t *testing.T) {
	h := newHouse(t)
	var nodes []*megaclient.Node
	for i := range 100 {
		nodes = append(nodes, file(handle(i), rootH, strings.Repeat("n", 1+i%7)+string(handle(i))))
	}
	h.apply(nodes...)
	all, err := h.ReadDir(DriveIno, "", 0)
	require.NoError(t, err)
	require.Len(t, all, 100)
	for _, size := range []int{1, 7, 50, 99, 100, 101} {
		var list []Inode
		for after := ""; ; after = list[len(list)-1].Name {
			page, err := h.ReadDir(DriveIno, after, size)
			require.NoError(t, err)
			list = append(list, page...)
			if len(page) < size {
				break
			}
		}
		require.Equal(t, all, list)
	}
	for i, in := range all {
		require.Equal(t, h.get(in.Ino), in)
		require.True(t, i == 0 || all[i-1].Name < in.Name)
	}
	h.update(func(tx *Tx) error {
		in, err := tx.ReadDir(DriveIno, all[97].Name, 0)
		require.Equal(t, all[98:], in)
		return err
	})
}

func TestChanges(t *testing.T) {
	h := newHouse(t)
	h.apply(created(file("AAAAAAAA", rootH, "x"), 1), created(file("BBBBBBBB", rootH, "x"), 2))
	a, b := h.at("/x").Ino, h.at("/x (BBBBBBBB)").Ino
	h.takeChanges()
	me := new(int)
	require.NoError(t, h.Update(WithOrigin(context.Background(), me), func(tx *Tx) error { return tx.Move(a, DriveIno, "y") }))
	require.Equal(t, []Change{
		{Dir: DriveIno, Name: "x", Ino: a, Origin: me},
		{Dir: DriveIno, Name: "y", Ino: a, Origin: me},
		{Dir: DriveIno, Name: "x (BBBBBBBB)", Ino: b}, // nobody asked for that
		{Dir: DriveIno, Name: "x", Ino: b},
	}, h.takeChanges())
	// Subscribers may call the tree.
	done := make(chan error, 1)
	var once sync.Once
	cancel := h.Subscribe(func([]Change) {
		once.Do(func() {
			done <- h.Update(context.Background(), func(tx *Tx) error { return tx.Unlink(a) })
		})
	})
	h.update(func(tx *Tx) error { return tx.ApplyRemove("BBBBBBBB", false) })
	require.NoError(t, <-done)
	cancel()
	h.check()
	require.Equal(t, []string{}, h.names(DriveIno))
}

func TestSyncIsShared(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	calls := 0
	s := newSyncer(func() error {
		calls++
		if calls == 1 {
			close(started)
			<-release
		}
		return nil
	})
	var first, rest sync.WaitGroup
	first.Go(func() { require.NoError(t, s.sync()) })
	<-started
	var ready sync.WaitGroup
	for range 10 {
		ready.Add(1)
		rest.Go(func() { ready.Done(); require.NoError(t, s.sync()) })
	}
	ready.Wait()
	close(release)
	first.Wait()
	rest.Wait()
	require.LessOrEqual(t, calls, 11)
	require.GreaterOrEqual(t, calls, 2, "one that began after them")
}

func TestLongRowsAreRefused(t *testing.T) {
	h := newHouse(t)
	require.ErrorIs(t, h.Update(context.Background(), func(tx *Tx) error {
		return tx.SetMeta("x", make([]byte, 1<<20))
	}), ErrTooBig)
	n := file("AAAAAAAA", rootH, "x")
	n.RawAttrs = strings.Repeat("x", 1<<20)
	require.ErrorIs(t, h.Update(context.Background(), func(tx *Tx) error { return tx.ApplyNode(n, "") }), ErrInvalid)
}
