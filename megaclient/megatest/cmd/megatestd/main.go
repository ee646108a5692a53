// Command megatestd runs a MEGA server for tests: point a client at the address that it prints.
//
//	go run ./megaclient/megatest/cmd/megatestd -account me@example.com:secret
//
// Nothing is kept when it ends; -dir only moves the content of files out of memory while it runs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"megadisk/megaclient/megatest"
)

// account is one -account flag.
type account struct {
	email, password string
	opts            []megatest.AccountOption
}

// accounts collects EMAIL:PASSWORD[:OPTION,…] flags.
type accounts []account

func (a *accounts) String() string { return "" }

// Set reads one account. Options are v1, keys and mfa=CODE.
func (a *accounts) Set(s string) error {
	parts := strings.SplitN(s, ":", 3)
	if len(parts) < 2 {
		return errors.New("want EMAIL:PASSWORD[:OPTION,...]")
	}
	acc := account{email: parts[0], password: parts[1]}
	if len(parts) == 3 {
		for _, o := range strings.Split(parts[2], ",") {
			name, value, _ := strings.Cut(o, "=")
			switch name {
			case "v1":
				acc.opts = append(acc.opts, megatest.V1())
			case "keys":
				acc.opts = append(acc.opts, megatest.WithAccountKeys())
			case "mfa":
				acc.opts = append(acc.opts, megatest.MFA(value))
			default:
				return fmt.Errorf("unknown option %q (v1, keys, mfa=CODE)", o)
			}
		}
	}
	*a = append(*a, acc)
	return nil
}

// config is what the flags say.
type config struct {
	listen, dir    string
	accounts       accounts
	sample         bool
	latency        time.Duration
	perConn, total int64
}

func main() {
	if err := run(parse()); err != nil {
		fmt.Fprintln(os.Stderr, "megatestd:", err)
		os.Exit(1)
	}
}

func parse() config {
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&c.dir, "dir", "", "folder for the content of files (default: memory)")
	flag.Var(&c.accounts, "account", "EMAIL:PASSWORD[:v1,keys,mfa=CODE], may be repeated (default user@example.com:password)")
	flag.BoolVar(&c.sample, "sample", false, "put some files into every account")
	flag.DurationVar(&c.latency, "latency", 0, "delay of every answer")
	flag.Int64Var(&c.perConn, "bandwidth", 0, "bytes per second and connection, each way (0: no limit)")
	flag.Int64Var(&c.total, "total-bandwidth", 0, "bytes per second of all connections, each way (0: no limit)")
	flag.Parse()
	if len(c.accounts) == 0 {
		c.accounts = accounts{{email: "user@example.com", password: "password"}}
	}
	return c
}

func run(c config) error {
	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	opts := []megatest.Option{megatest.WithListener(l)}
	if c.dir != "" {
		opts = append(opts, megatest.WithDir(c.dir))
	}
	s, err := megatest.Start(opts...)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	defer s.Close()
	for _, acc := range c.accounts {
		a := s.AddAccount(acc.email, acc.password, acc.opts...)
		if c.sample {
			fill(a)
		}
		fmt.Println("account:", acc.email)
	}
	s.Faults().SetLatency(c.latency)
	s.Faults().SetBandwidth(c.perConn, c.total)
	fmt.Println("url:", s.URL())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}

// fill puts a few files into an account.
func fill(a *megatest.Account) {
	now := time.Now()
	docs := a.Mkdir(a.Root(), "Documents")
	a.PutFile(a.Root(), "welcome.txt", []byte("Welcome to the test server.\n"), now)
	notes := a.PutFile(docs, "notes.txt", []byte("first version\n"), now.Add(-time.Hour))
	a.PutVersion(notes, []byte("second version\n"), now)
	a.Put(megatest.PutSpec{Parent: docs, Name: "large.bin", Size: 64 << 20, Mtime: now})
}
