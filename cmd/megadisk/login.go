package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"megadisk/megaclient"
)

func newLogin(c *common) *cobra.Command {
	var passwordFile, mfa string
	cmd := &cobra.Command{
		Use:   "login [EMAIL]",
		Short: "Log in once; later commands use the session that this leaves behind",
		Long: `Asks on the terminal for what is missing: e-mail address, password, two-factor code.
The session is kept (in the desktop's keyring, or a file that only you can read), the password never is.`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return login(cmd.Context(), c, append(args, "")[0], passwordFile, mfa)
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "read the password from the first line of this file (-: standard input)")
	cmd.Flags().StringVar(&mfa, "mfa-code", "", "the two-factor code")
	return cmd
}

func login(ctx context.Context, c *common, email, passwordFile, mfa string) error {
	st, err := c.store()
	if err != nil {
		return err
	}
	log, err := c.logger()
	if err != nil {
		return err
	}
	if email == "" {
		if email, err = ask(ctx, "E-mail: "); err != nil {
			return err
		}
	}
	password, err := readPassword(ctx, passwordFile)
	if err != nil {
		return err
	}
	client, err := megaclient.Login(ctx, c.client(log), email, password, mfa)
	if errors.Is(err, megaclient.ErrMFARequired) && terminal() {
		if mfa, err = ask(ctx, "Two-factor code: "); err != nil {
			return err
		}
		client, err = megaclient.Login(ctx, c.client(log), email, password, mfa)
	}
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	defer client.Close()
	inFile, err := st.Save(client.Session())
	if err != nil {
		return err
	}
	fmt.Printf("Logged in as %s.\n", client.Session().Email)
	if inFile {
		fmt.Printf("The session is in a file below %s that only you can read (no keyring is used).\n", st.Dir)
	}
	return nil
}

func readPassword(ctx context.Context, file string) (string, error) {
	switch {
	case file == "-":
		return firstLine(ctx, os.Stdin)
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		defer f.Close()
		return firstLine(ctx, f)
	case !terminal():
		return "", usage("no terminal to ask for the password: use --password-file FILE (-: standard input)")
	}
	return askSecretly(ctx, "Password: ")
}

// firstLine reads what a file, or whoever stands behind standard input, gives.
func firstLine(ctx context.Context, r io.Reader) (string, error) {
	line, err := abandon(ctx, func() (string, error) { return scanLine(r) })
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if line == "" {
		return "", usage("the password is empty")
	}
	return line, nil
}
