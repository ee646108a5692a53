// Package account keeps what a login leaves behind: the session and master key, in the desktop's keyring where
// there is one and else in a file that only its owner can read, and an index from e-mail addresses to accounts,
// so that a mount needs neither the network nor the password.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/zalando/go-keyring"

	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/megaclient"
	"megadisk/writeback/durable"
)

// ErrNone means that nobody is logged in (or not the account that was asked for).
var ErrNone = errors.New("not logged in: run `megadisk login EMAIL` first")

// ErrDamaged means that what an earlier login left can't be read.
var ErrDamaged = errors.New("the stored session can't be read: run `megadisk login` again")

const (
	service     = "megadisk"
	indexFile   = "accounts.json"
	sessionFile = "session.json"
)

// Keyring says where secrets go.
type Keyring string

// The ways to keep a session.
const (
	Auto Keyring = ""     // the keyring if there is one, else a file
	File Keyring = "file" // always a file of mode 0600
	Wait Keyring = "wait" // as Auto; a keyring that is locked or not there yet, as at boot, is waited for
	Fail Keyring = "fail" // as Auto; one that doesn't answer within seconds is an error
)

// Store keeps the sessions of one API host below Dir (…/megadisk/HOST).
type Store struct {
	Dir     string
	Host    string
	Keyring Keyring
}

// index is accounts.json.
type index struct {
	Accounts map[string]string `json:"accounts"` // e-mail (lower case) -> user handle
	Default  string            `json:"default"`  // user handle of the last login
}

// Save keeps s and makes it the default account. It returns true when the secret went to a file
// because no keyring answered.
func (st Store) Save(s megaclient.Session) (inFile bool, err error) {
	blob, err := json.Marshal(s)
	if err != nil {
		return false, fmt.Errorf("encoding the session: %w", err)
	}
	user := string(s.User)
	if err := paths.Private(filepath.Join(st.Dir, user), "--state-dir"); err != nil {
		return false, err
	}
	inFile = st.Keyring == File || keyring.Set(service, st.Host+"/"+user, string(blob)) != nil
	file := filepath.Join(st.Dir, user, sessionFile)
	return inFile, st.alone(func() (err error) {
		if inFile {
			err = durable.WriteFile(file, blob)
		} else {
			err = durable.Remove(file)
		}
		if err != nil {
			return fmt.Errorf("keeping the session: %w", err)
		}
		return st.changeIndex(func(idx *index) {
			idx.Accounts[strings.ToLower(s.Email)] = user
			idx.Default = user
		})
	})
}

// Load returns the session of the account with that e-mail address or user handle; "" is the default one.
func (st Store) Load(ctx context.Context, who string) (megaclient.Session, error) {
	var s megaclient.Session
	idx, err := st.index()
	if err != nil {
		return s, err
	}
	user := idx.resolve(who)
	if user == "" {
		return s, ErrNone
	}
	blob, err := st.secret(ctx, user)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(blob, &s); err != nil {
		return s, ErrDamaged
	}
	return s, nil
}

// Emails are the addresses of all accounts that are logged in.
func (st Store) Emails() []string {
	idx, err := st.index()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(idx.Accounts))
}

// Forget removes the session; state and cache stay. An error of the keyring that has it comes when all else is done.
func (st Store) Forget(s megaclient.Session) error {
	user := string(s.User)
	var kept error
	if _, err := os.Lstat(filepath.Join(st.Dir, user, sessionFile)); st.Keyring != File {
		gone := keyring.Delete(service, st.Host+"/"+user)
		if os.IsNotExist(err) && gone != nil && !errors.Is(gone, keyring.ErrNotFound) { // else there may be no keyring at all
			kept = fmt.Errorf("logged out, but the keyring still has the session (%w): remove the entry %s %s/%s there", gone, service, st.Host, user)
		}
	}
	err := st.alone(func() error {
		if err := durable.Remove(filepath.Join(st.Dir, user, sessionFile)); err != nil {
			return err
		}
		return st.forgetName(user)
	})
	if err != nil {
		return err
	}
	return kept
}

func (st Store) forgetName(user string) error {
	return st.changeIndex(func(idx *index) {
		for mail, u := range idx.Accounts {
			if u == user {
				delete(idx.Accounts, mail)
			}
		}
		if idx.Default == user {
			idx.Default = idx.any()
		}
	})
}

func (st Store) secret(ctx context.Context, user string) ([]byte, error) {
	blob, err := os.ReadFile(filepath.Join(st.Dir, user, sessionFile))
	if err == nil {
		return blob, nil
	}
	if !os.IsNotExist(err) {
		return nil, fmt.Errorf("reading the session: %w", err)
	}
	if st.Keyring == File {
		return nil, ErrNone
	}
	text, err := st.ask(ctx, user)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the keyring does not answer (%w): unlock it, use --keyring=wait, or log in again with --keyring=file", err)
	}
	return []byte(text), nil
}

func (st Store) index() (index, error) {
	idx := index{Accounts: map[string]string{}}
	blob, err := os.ReadFile(filepath.Join(st.Dir, indexFile))
	if os.IsNotExist(err) {
		return idx, nil
	}
	if err != nil {
		return idx, fmt.Errorf("reading the list of accounts: %w", err)
	}
	if err := json.Unmarshal(blob, &idx); err != nil || idx.Accounts == nil {
		return index{}, fmt.Errorf("%s is damaged: remove it and log in again", filepath.Join(st.Dir, indexFile))
	}
	return idx, nil
}

// changeIndex is for who is alone.
func (st Store) changeIndex(change func(*index)) error {
	idx, err := st.index()
	if err != nil {
		return err
	}
	change(&idx)
	return writeList(filepath.Join(st.Dir, indexFile), idx)
}

func (i index) resolve(who string) string {
	if who == "" {
		return i.Default
	}
	if user, ok := i.Accounts[strings.ToLower(who)]; ok {
		return user
	}
	for _, user := range i.Accounts {
		if user == who {
			return user
		}
	}
	return ""
}

func (i index) any() string {
	var users []string
	for _, u := range i.Accounts {
		users = append(users, u)
	}
	sort.Strings(users)
	if len(users) == 0 {
		return ""
	}
	return users[0]
}

func writeList(path string, list any) error {
	blob, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, blob)
}
