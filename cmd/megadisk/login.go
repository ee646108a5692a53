package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/account"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/credentials"
	"megadisk/megaclient"
)

func newLogin(c *common) *cobra.Command {
	var from credentials.Sources
	var mfa string
	cmd := &cobra.Command{
		Use:   "login [EMAIL]",
		Short: "Log in once; later commands use the session that this leaves behind",
		Long: `Takes the password from $CREDENTIALS_DIRECTORY/megadisk, --credentials, --password-command or --password-file, in this
order, and else asks on the terminal for what is missing: e-mail address, password, two-factor code.
The session is kept (in the desktop's keyring, or a file that only you can read), the password never is.
A mount whose session has ended goes on with the new one.`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return login(cmd.Context(), c, append(args, "")[0], from, mfa)
		},
	}
	addSources(cmd.Flags(), &from)
	cmd.Flags().StringVar(&mfa, "mfa-code", "", "the two-factor code")
	return cmd
}

// addSources adds the options that say where a password is.
func addSources(f *pflag.FlagSet, from *credentials.Sources) {
	f.StringVar(&from.File, "credentials", "", "file with lines email=, password= and mfa= (or link=, of a link to mount), which only its owner can read")
	f.StringVar(&from.Command, "password-command", "", "take the password from the first line that this shell command prints")
	f.StringVar(&from.Password, "password-file", "", "take the password from the first line of this file (-: standard input)")
}

func login(ctx context.Context, c *common, email string, from credentials.Sources, mfa string) error {
	given, person, err := whatIsGiven(ctx, from)
	if err != nil {
		return err
	}
	if email == "" {
		email = given.Email
	}
	if email == "" {
		if email, err = ask(ctx, "E-mail: "); err != nil {
			return err
		}
	}
	if given.Password == "" {
		if !terminal() {
			return usage("no terminal to ask for the password: use --password-file FILE (-: standard input)")
		}
		if given.Password, err = askSecretly(ctx, "Password: "); err != nil {
			return err
		}
	}
	if mfa != "" {
		given.MFA = mfa
	}
	given.Email = email
	client, inFile, err := c.logIn(ctx, given, person)
	if errors.Is(err, megaclient.ErrMFARequired) && terminal() {
		if given.MFA, err = ask(ctx, "Two-factor code: "); err != nil {
			return err
		}
		client, inFile, err = c.logIn(ctx, given, person)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Printf("Logged in as %s.\n", client.Session().Email)
	warnOfSessions(ctx, client)
	if inFile {
		fmt.Printf("The session is in a file below %s that only you can read (no keyring is used).\n", c.dirs().State)
	}
	return revive(ctx, c, client)
}

// whatIsGiven looks into the sources; person is true when somebody types, or pipes, the password just now.
func whatIsGiven(ctx context.Context, from credentials.Sources) (given credentials.Given, person bool, err error) {
	if from.Password == "-" {
		given.Password, err = firstLine(ctx, os.Stdin)
		return given, true, err
	}
	given, found, err := from.Find(ctx)
	return given, !found, err
}

// revive gives the new session to the process that holds the account's mounts, if there is one.
func revive(ctx context.Context, c *common, client *megaclient.Client) error {
	socket, err := c.socket(client)
	if err != nil {
		return err
	}
	process, ok := control.Dial(socket)
	if !ok {
		return nil
	}
	if err := process.Revive(ctx); err != nil {
		return fmt.Errorf("giving the new session to what is mounted: %w", err)
	}
	fmt.Println("What is mounted goes on with it.")
	return nil
}

// tooMany is how long a server that has seen too many logins is left alone when it doesn't say how long.
const tooMany = time.Hour

// logIn logs in with the server and keeps the session. When the server doesn't want to be asked, it isn't.
func (c *common) logIn(ctx context.Context, given credentials.Given, person bool) (client *megaclient.Client, inFile bool, err error) {
	st, err := c.store()
	if err != nil {
		return nil, false, err
	}
	log, err := c.logger()
	if err != nil {
		return nil, false, err
	}
	now := time.Now()
	if err := st.MayLogin(given.Email, now, person); err != nil {
		return nil, false, err
	}
	client, err = megaclient.Login(ctx, c.client(log), given.Email, given.Password, given.MFA)
	if err != nil {
		return nil, false, errors.Join(err, noteRefusal(st, given.Email, now, person, err))
	}
	if err = st.LoggedIn(given.Email); err == nil {
		inFile, err = st.Save(client.Session())
	}
	if err != nil {
		dismiss(ctx, st, client)
		return nil, false, err
	}
	return client, inFile, nil
}

// farewell bounds how long it is tried to end a session that could not be kept.
const farewell = 10 * time.Second

// dismiss ends a session that could not be kept, which would else stay open on the server and be nobody's. If all the same a later
// command would find it, since only the list of accounts was not written, it stays.
func dismiss(ctx context.Context, st account.Store, client *megaclient.Client) {
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	s := client.Session()
	if kept, err := st.Load(ctx, string(s.User)); err != nil || kept.SID != s.SID {
		_ = client.Logout(ctx) // if the server can't be asked now, `megadisk sessions` still shows it
	}
}

// noteRefusal writes down when the next login may be tried.
func noteRefusal(st account.Store, email string, now time.Time, person bool, err error) error {
	var status *megaclient.StatusError
	var code *megaclient.Error
	switch {
	case errors.As(err, &status) && status.RetryAfter > 0:
		return st.LoginPutOff(email, now, status.RetryAfter)
	case errors.Is(err, megaclient.ETOOMANY), errors.Is(err, megaclient.ERATELIMIT):
		return st.LoginPutOff(email, now, tooMany)
	case person || errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, megaclient.ErrBadLogin), errors.Is(err, megaclient.ErrMFARequired), errors.Is(err, megaclient.ErrMFAWrong), errors.As(err, &code):
		return st.LoginRefused(email, now)
	}
	return nil // the network
}

// sessionFor gives the stored session of an account ("" is the last login's), or, where there is none that can be read, logs
// in with what the sources hold.
func (c *common) sessionFor(ctx context.Context, who string, from credentials.Sources) (*megaclient.Client, error) {
	client, err := c.resume(ctx, who)
	if who != "" && !isNoSession(err) {
		return client, err
	}
	given, _, findErr := whatIsGiven(ctx, from)
	switch {
	case findErr != nil && client != nil:
		return client, nil // it isn't needed
	case findErr != nil:
		return nil, findErr
	case who == "" && given.Email != "":
		if client != nil {
			client.Close()
		}
		return c.sessionFor(ctx, given.Email, from)
	case client != nil || given.Password == "":
		return client, err
	case who == "":
		return nil, usage("the password is given, but not for whom: put email=… into the credentials, or mount EMAIL:/")
	}
	given.Email = who
	client, _, err = c.logIn(ctx, given, false)
	return client, err
}

// isNoSession tells that nothing is stored of which a session could be made.
func isNoSession(err error) bool {
	return errors.Is(err, account.ErrNone) || errors.Is(err, account.ErrDamaged) || errors.Is(err, megaclient.ErrBadSession)
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
