package megaclient_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// Storing a file and reading it back, whole and in part.
func ExampleClient_Put() {
	server := megatest.NewServer() // in place of MEGA's own
	defer server.Close()
	account := server.AddAccount("someone@example.org", "password")
	ctx := context.Background()
	client, err := megaclient.Login(ctx, megaclient.Config{APIURL: server.URL()}, account.Email, "password", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	const text = "hello, cloud\n"
	node, err := client.Put(ctx, strings.NewReader(text), megaclient.PutFile{
		Parent: megaclient.Handle(account.Root()), Name: "greeting.txt", Size: int64(len(text)), Mtime: time.Unix(1_700_000_000, 0),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	name, _ := node.Name()
	fmt.Println(name, node.Size, node.Mtime().UTC())
	if err := client.Get(ctx, node, os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// greeting.txt 13 2023-11-14 22:13:20 +0000 UTC
	// hello, cloud
}
