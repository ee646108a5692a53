package megatest_test

import (
	"fmt"
	"time"

	"megadisk/megaclient/megatest"
)

// A test makes an account, lets the client under test do something, and looks at the result with the
// account's own eyes.
func Example() {
	s := megatest.NewServer()
	defer s.Close()
	a := s.AddAccount("user@example.com", "password")
	docs := a.Mkdir(a.Root(), "docs")
	first := a.PutFile(docs, "note.txt", []byte("first"), time.Unix(1700000000, 0))
	newest := a.PutVersion(first, []byte("second"), time.Unix(1700000060, 0))

	// … a client logs in at s.URL() …

	fmt.Println(string(a.ReadFile(newest)))
	fmt.Println(len(a.Versions(newest)), "versions")
	for path, e := range a.Tree() {
		if !e.Dir {
			fmt.Println(path, e.Size)
		}
	}
	// Output:
	// second
	// 2 versions
	// docs/note.txt 6
}
