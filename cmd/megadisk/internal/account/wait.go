package account

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"megadisk/cmd/megadisk/internal/paths"
)

// What keeps this program from ever hammering MEGA's login: when the server says "not now", or refuses what nobody
// typed, the time before which it isn't asked again is written down.

const (
	waitsFile = "logins.json"
	firstWait = time.Minute   // after the first refusal of a login that nobody typed; doubled by each further one
	longest   = 6 * time.Hour // of these waits
)

// WaitError says that it is too early for a login.
type WaitError struct{ Until time.Time }

func (e *WaitError) Error() string {
	return fmt.Sprintf("too early to log in again: wait until %s", e.Until.Local().Format(time.DateTime))
}

// wait is what is known of an account's logins.
type wait struct {
	Until    time.Time `json:"not_before"`
	Server   bool      `json:"server,omitempty"`   // it is the server's word, which also a person must heed
	Refusals int       `json:"refusals,omitempty"` // in a row, of logins that nobody typed
}

// MayLogin tells whether a login of that account may be tried now, by a person or not. The error is a *WaitError.
func (st Store) MayLogin(email string, now time.Time, person bool) error {
	w := st.waits()[strings.ToLower(email)]
	if now.Before(w.Until) && (w.Server || !person) {
		return &WaitError{w.Until}
	}
	return nil
}

// LoginPutOff notes that the server asks to be left alone for a while.
func (st Store) LoginPutOff(email string, now time.Time, d time.Duration) error {
	return st.setWait(email, func(w wait) wait {
		return wait{Until: now.Add(d), Server: true, Refusals: w.Refusals}
	})
}

// LoginRefused notes that a login that nobody typed was refused.
func (st Store) LoginRefused(email string, now time.Time) error {
	return st.setWait(email, func(w wait) wait {
		d := min(firstWait<<min(w.Refusals, 20), longest)
		return wait{Until: now.Add(d), Refusals: w.Refusals + 1}
	})
}

// LoggedIn forgets all of that.
func (st Store) LoggedIn(email string) error {
	if _, known := st.waits()[strings.ToLower(email)]; !known {
		return nil
	}
	return st.setWait(email, func(wait) wait { return wait{} })
}

// waits reads what is known. What can't be read is as nothing.
func (st Store) waits() map[string]wait {
	all := map[string]wait{}
	if blob, err := os.ReadFile(filepath.Join(st.Dir, waitsFile)); err == nil {
		_ = json.Unmarshal(blob, &all)
	}
	return all
}

func (st Store) setWait(email string, change func(wait) wait) error {
	if err := paths.Private(st.Dir, "--state-dir"); err != nil {
		return err
	}
	return st.alone(func() error {
		all := st.waits()
		email = strings.ToLower(email)
		if w := change(all[email]); w == (wait{}) {
			delete(all, email)
		} else {
			all[email] = w
		}
		return writeList(filepath.Join(st.Dir, waitsFile), all)
	})
}
