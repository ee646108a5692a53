package tree_test

import (
	"context"
	"fmt"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// A tree that was fetched, a file made here, and the same name coming from the cloud.
func Example() {
	ctx := context.Background()
	t, err := tree.Open(tree.Options{InMemory: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()

	epoch, _ := t.BeginFetch(ctx)
	_ = t.Update(ctx, func(tx *tree.Tx) error {
		return tx.ApplyNode(&megaclient.Node{Handle: "ROOTAAAA", Type: megaclient.RootNode}, "")
	})
	_ = t.EndFetch(ctx, epoch)

	mine := tree.Inode{Kind: tree.File, Parent: tree.DriveIno, Name: "notes", Pending: tree.PendingContent}
	_ = t.Update(ctx, func(tx *tree.Tx) error { return tx.Create(&mine) })

	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "notes")
	_ = t.Update(ctx, func(tx *tree.Tx) error {
		return tx.ApplyNode(&megaclient.Node{
			Handle: "FILEAAAA", Parent: "ROOTAAAA", Type: megaclient.FileNode, Size: 5, Key: make([]byte, 32), Attrs: attrs,
		}, "")
	})

	theirs, _ := t.Lookup(tree.DriveIno, "notes")
	ours, _ := t.Get(mine.Ino)
	fmt.Println(theirs.Cloud.Handle, theirs.Size, theirs.Pending)
	fmt.Println(ours.Name[:len("notes (conflict ")], ours.Pending.Has(tree.PendingCreate))
	// Output:
	// FILEAAAA 5 0
	// notes (conflict  true
}
