// Package credentials finds the password of a login where nobody can be asked: in a file of systemd's credentials, in
// one that an option names, or from a command. A password never stands in an argument or the environment.
package credentials

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Name is that of the file in $CREDENTIALS_DIRECTORY.
const Name = "megadisk"

// Given is what was found: what is missing is "".
type Given struct {
	Email    string
	Password string
	MFA      string
	Link     string // a public link, with its key
}

// Sources say where to look, in this order; "" is nowhere.
type Sources struct {
	File     string // lines email=, password=, mfa=, or link=
	Command  string // of the shell: the first line that it prints is the password
	Password string // a file whose first line is the password
}

// Find gives what the first source that there is holds; ok is false when there is none.
func (s Sources) Find(ctx context.Context) (g Given, ok bool, err error) {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		g, err := readFile(filepath.Join(dir, Name))
		if !errors.Is(err, fs.ErrNotExist) {
			return g, err == nil, err
		}
	}
	switch {
	case s.File != "":
		g, err = readFile(s.File)
	case s.Command != "":
		g.Password, err = run(ctx, s.Command)
	case s.Password != "":
		g.Password, err = firstLine(s.Password)
	default:
		return g, false, nil
	}
	return g, err == nil, err
}

// TooOpenError says that others can read a file with a password.
type TooOpenError struct{ Path string }

func (e *TooOpenError) Error() string {
	return fmt.Sprintf("others can read %s, which holds a password: chmod 600 %s", e.Path, e.Path)
}

// open opens a file that only its owner, we or root, can read.
func open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if info.Mode().IsRegular() && (info.Mode().Perm()&0o077 != 0 || owner != 0 && int(owner) != os.Getuid()) {
		f.Close()
		return nil, &TooOpenError{path}
	}
	return f, nil
}

// readFile reads lines NAME=VALUE; names of cifs's credentials are understood too.
func readFile(path string) (g Given, err error) {
	f, err := open(path)
	if err != nil {
		return g, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, has := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "email", "username", "user":
			g.Email = strings.TrimSpace(value)
		case "password":
			g.Password = value
		case "mfa", "mfa-code":
			g.MFA = strings.TrimSpace(value)
		case "link":
			g.Link = strings.TrimSpace(value)
		default:
			has = false
		}
		if !has { // the line may be a password: it isn't repeated
			return Given{}, fmt.Errorf("%s:%d: it has lines email=…, password=…, mfa=… or link=…, and this is none", path, n)
		}
	}
	if err := lines.Err(); err != nil {
		return Given{}, fmt.Errorf("reading %s: %w", path, err)
	}
	if g.Password == "" && g.Link == "" {
		return Given{}, fmt.Errorf("%s has no line password=…", path)
	}
	return g, nil
}

func firstLine(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if !lines.Scan() || lines.Text() == "" {
		return "", fmt.Errorf("%s has no password in its first line", path)
	}
	return strings.TrimRight(lines.Text(), "\r"), nil
}

func run(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr // it may have to ask
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("the password command failed: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", errors.New("the password command printed nothing")
	}
	return line, nil
}
