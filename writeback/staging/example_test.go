package staging_test

import (
	"context"
	"fmt"
	"os"

	"megadisk/writeback/staging"
)

// A file is written twice over, a part of it read, and its data saved from the
// segments alone.
func Example() {
	dir, err := os.MkdirTemp("", "staging")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	key := [32]byte{1} // from the state key, in real life
	store, err := staging.Open(staging.Options{Dir: dir, Key: key})
	if err != nil {
		panic(err)
	}
	store.Started() // no database, so nothing to retain

	var m staging.Map
	owner := staging.Owner{Ino: 16, Path: "/greeting"}
	write := func(off int64, text string) {
		extents, err := store.Append(owner, off, []byte(text))
		if err != nil {
			panic(err)
		}
		dropped := m.Insert(extents...)
		// Here m.DirtyRegions() are committed to the database.
		m.ClearDirty()
		store.Release(dropped...)
	}
	write(0, "Hello, world")
	write(7, "staging!")
	if err := store.Sync(context.Background()); err != nil {
		panic(err)
	}

	for _, piece := range m.Pieces(0, 20) {
		if piece.Extent == nil {
			fmt.Printf("%d+%d: from the base version\n", piece.Off, piece.Len)
			continue
		}
		p := make([]byte, piece.Len)
		if err := store.ReadAt(*piece.Extent, p, 0); err != nil {
			panic(err)
		}
		fmt.Printf("%d+%d: %q\n", piece.Off, piece.Len, p)
	}
	if err := store.Close(); err != nil {
		panic(err)
	}
	err = staging.Salvage(dir, key, func(o staging.Owner, off int64, data []byte) error {
		fmt.Printf("saved %s at %d: %q\n", o.Path, off, data)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 0+7: "Hello, "
	// 7+8: "staging!"
	// 15+5: from the base version
	// saved /greeting at 0: "Hello, world"
	// saved /greeting at 7: "staging!"
	// <nil>
}

// A map lays later extents over earlier ones and says what they hide.
func ExampleMap() {
	var m staging.Map
	m.Insert(staging.Extent{Off: 0, Len: 100, Seg: 1, Pos: 128})
	hidden := m.Insert(staging.Extent{Off: 40, Len: 20, Seg: 1, Pos: 512})
	fmt.Println("hidden:", hidden)
	for _, e := range m.Extents() {
		fmt.Println("left:  ", e)
	}
	// Output:
	// hidden: [{40 20 1 128 40}]
	// left:   {0 40 1 128 0}
	// left:   {40 20 1 512 0}
	// left:   {60 40 1 128 60}
}
