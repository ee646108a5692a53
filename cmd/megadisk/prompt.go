package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Questions on the terminal. A read from a terminal can't be cancelled, so it is left behind when ctx ends: what
// follows is the end of the program, which must leave the terminal as it found it.

func terminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// ask shows what is typed.
func ask(ctx context.Context, prompt string) (string, error) {
	if !terminal() {
		return "", usage("no terminal to ask on: give the e-mail address as an argument, the code with --mfa-code")
	}
	fmt.Fprint(os.Stderr, prompt)
	return answer(ctx, func() (string, error) {
		line, err := scanLine(os.Stdin)
		return strings.TrimSpace(line), err
	})
}

// askSecretly doesn't, from before the prompt is there. It is not term.ReadPassword, which one would have to leave behind
// in a goroutine that turns the echo off: after the first keys, or after the end.
func askSecretly(ctx context.Context, prompt string) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
	fmt.Fprint(os.Stderr, prompt)
	typed, err := answer(ctx, func() (string, error) { return scanLine(os.Stdin) })
	fmt.Fprintln(os.Stderr)
	return typed, err
}

// answer is what a person typed, with something in it.
func answer(ctx context.Context, read func() (string, error)) (string, error) {
	line, err := abandon(ctx, read)
	switch {
	case err != nil && ctx.Err() == nil:
		return "", fmt.Errorf("reading from the terminal: %w", err)
	case err == nil && line == "":
		return "", usage("nothing was typed")
	}
	return line, err
}

// scanLine reads the first line of r, without its end.
func scanLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// abandon gives what read gives, or the end of ctx, whichever comes first.
func abandon(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() { // ends with the program if the read never does
		line, err := read()
		got <- result{line, err}
	}()
	select {
	case r := <-got:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
