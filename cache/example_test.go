package cache_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"megadisk/cache"
	"megadisk/megaclient/megacrypto"
)

// A cloud that holds one file, and a cache in front of it.
func Example() {
	plain := []byte("what the cloud keeps, only its owner reads")
	key := megacrypto.NewFileKey()
	cipher := megacrypto.NewCipher(key)
	key.MAC = cipher.MetaMAC([]megacrypto.ChunkMAC{cipher.ChunkMAC(plain)})
	stored := make([]byte, len(plain))
	cipher.XORKeyStreamAt(stored, plain, 0)

	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	c, err := cache.Open(cache.Options{
		Dir: dir,
		Fetch: func(_ context.Context, f cache.File, off, n int64, w io.Writer) error {
			fmt.Println("fetching", f.Handle)
			_, err := w.Write(stored[off : off+n])
			return err
		},
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	f := cache.File{Handle: "AbCdEfGh", Key: key, Size: int64(len(plain))}
	for range 2 {
		r := c.NewReader(f)
		p := make([]byte, 20)
		if _, err := r.ReadAt(context.Background(), p, 0); err != nil {
			panic(err)
		}
		r.Close()
		fmt.Printf("%s; verified: %v\n", p, c.State(f).Verified)
	}
	// Output:
	// fetching AbCdEfGh
	// what the cloud keeps; verified: yes
	// what the cloud keeps; verified: yes
}
