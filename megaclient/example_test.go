package megaclient_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// demo starts a server with an account, in place of MEGA's own.
func demo() (*megatest.Server, *megatest.Account, megaclient.Config) {
	server := megatest.NewServer()
	account := server.AddAccount("me@example.com", "secret")
	return server, account, megaclient.Config{APIURL: server.URL()}
}

func ExampleLogin() {
	server, _, cfg := demo()
	defer server.Close()
	ctx := context.Background()

	_, err := megaclient.Login(ctx, cfg, "me@example.com", "wrong", "")
	fmt.Println(errors.Is(err, megaclient.ErrBadLogin))

	c, err := megaclient.Login(ctx, cfg, "me@example.com", "secret", "")
	if err != nil {
		log.Fatal(err)
	}
	session := c.Session() // to be kept in a safe place
	c.Close()

	c, err = megaclient.Resume(cfg, session)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	account, err := c.Account(ctx)
	fmt.Println(account.Email, err)
	// Output:
	// true
	// me@example.com <nil>
}

func ExampleClient_FetchNodes() {
	server, account, cfg := demo()
	defer server.Close()
	account.Mkdir(account.Mkdir(account.Root(), "Pictures"), "2024")
	ctx := context.Background()
	c, err := megaclient.Login(ctx, cfg, "me@example.com", "secret", "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.FetchNodes(ctx, true, func(n *megaclient.Node) error {
		if name, ok := n.Name(); ok {
			fmt.Println(name)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// Pictures
	// 2024
}

func ExampleClient_Execute() {
	server, account, cfg := demo()
	defer server.Close()
	ctx := context.Background()
	c, err := megaclient.Login(ctx, cfg, "me@example.com", "secret", "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "new folder")
	key := megacrypto.NewKey()
	batch, err := c.Prepare(megaclient.PutNodes{
		Parent: megaclient.Handle(account.Root()),
		Nodes:  []megaclient.NewNode{{Type: megaclient.FolderNode, Key: key[:], Attrs: attrs}},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Here a careful program stores the batch.

	server.Faults().DropAfter("p", 1) // the answer will be lost
	results, err := c.Execute(ctx, batch)
	if err != nil {
		log.Fatal(err)
	}
	name, _ := results[0].Nodes[0].Name()
	fmt.Println(name, "made", len(account.Tree()), "time")
	// Output: new folder made 1 time
}

func ExampleClient_Listen() {
	server, account, cfg := demo()
	defer server.Close()
	ctx := context.Background()
	c, err := megaclient.Login(ctx, cfg, "me@example.com", "secret", "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	tree, err := c.FetchNodes(ctx, true, func(*megaclient.Node) error { return nil })
	if err != nil {
		log.Fatal(err)
	}

	account.Mkdir(account.Root(), "from elsewhere") // another client
	enough := errors.New("enough")
	err = c.Listen(ctx, tree.SN, nil, func(a *megaclient.Answer) error {
		for _, p := range a.Packets {
			if p, ok := p.(*megaclient.NodesPacket); ok {
				name, _ := p.Nodes[0].Name()
				fmt.Println("new:", name)
			}
		}
		if a.More || len(a.Packets) > 0 {
			return nil
		}
		return enough // up to date
	})
	fmt.Println(errors.Is(err, enough))
	// Output:
	// new: from elsewhere
	// true
}
