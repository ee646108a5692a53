package megaclient

import (
	"context"
	"encoding/json"
	"fmt"
)

// maxEmail bounds an address: mail itself has no longer ones.
const maxEmail = 254

// decodeUser reads one user of the full fetch or of an event.
func decodeUser(raw json.RawMessage) (User, bool) {
	var w struct {
		U UserHandle `json:"u"`
		C *int       `json:"c"` // absent where it stays as it is
		M string     `json:"m"`
	}
	if tolerant(json.Unmarshal(raw, &w)) != nil || !validUser(w.U) {
		return User{}, false
	}
	u := User{Handle: w.U, Email: validEmail(w.M)}
	if w.C != nil {
		u.Former, u.Contact, u.Self = *w.C == 0, *w.C == 1, *w.C == 2
	}
	return u, true
}

// decodeUsers reads a list of users; what is no list has none.
func decodeUsers(raw json.RawMessage) (users []User) {
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	for _, one := range list {
		if u, ok := decodeUser(one); ok {
			users = append(users, u)
		}
	}
	return users
}

// validEmail gives an address, "" in place of what can't be one.
func validEmail(text string) string {
	if len(text) > maxEmail {
		return ""
	}
	return text
}

// UserEmail asks for the address of a user, whether a contact or not.
func (c *Client) UserEmail(ctx context.Context, u UserHandle) (string, error) {
	var email string
	if err := c.command(ctx, laneRead, map[string]any{"a": "uge", "u": u}, &email); err != nil {
		return "", fmt.Errorf("asking for a user's address: %w", err)
	}
	return validEmail(email), nil
}
